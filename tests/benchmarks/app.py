# SPDX-License-Identifier: MIT
"""An application of 100 MiB, built and checked, next to the programs that do a part of it.

    python -m tests.benchmarks app [--size MIB] [--pairs N] [--json]

Runs in turns, as programs: `mkfs.erofs` and `veritysetup format`, then `bootseal app build`, of one
directory; `veritysetup verify`, then `bootseal app check` with and without `--no-inside`, of what
came out. A ratio is that of two runs of one round, and the bound is for build and check together.
The first three do not sign, do not look into files, and read no partition tables. Half of the
files is noise, half can be compressed. Ends with 1 when the bound is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.disk import timed

from bootseal import proc
from bootseal.units import KIB, MIB

BOUND: Final = 1.5
_FILE: Final = 256 * KIB
_OPTIONS: Final = ("--quiet", "-zlz4hc", "-T0", "--all-root", "-x-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Seconds of one round: by the clock, or of the processors."""

    mkfs: float
    format: float
    build: float
    verify: float
    check: float
    blocks: float

    @property
    def build_ratio(self) -> float:
        """Our build in parts of the two programs."""
        return self.build / (self.mkfs + self.format)

    @property
    def ratio(self) -> float:
        """Build and check in parts of the three programs."""
        return (self.build + self.check) / (self.mkfs + self.format + self.verify)


def files(directory: Path, size: int) -> None:
    """Write files of so many MiB."""
    generator = random.Random(7)  # noqa: S311 - the same files in every run
    words = [generator.randbytes(generator.randrange(2, 12)) for _ in range(4096)]
    (directory / "usr/bin").mkdir(parents=True)
    (directory / "usr/share").mkdir()
    program = directory / "usr/bin/bench"
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o755)
    for number in range(size * MIB // _FILE):
        noise = generator.randbytes(_FILE)
        text = b"".join(generator.choices(words, k=_FILE // 4))[:_FILE]
        (directory / f"usr/share/{number}").write_bytes(text if number % 2 else noise)


def keys(directory: Path) -> list[str]:
    """Make a key and its certificate for code signing; return the options that name them."""
    request = ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-subj", "/CN=bench"]
    usage = ["-addext", "keyUsage=critical,digitalSignature"]
    usage += ["-addext", "extendedKeyUsage=codeSigning", "-addext", "basicConstraints=CA:FALSE"]
    out = ["-keyout", "app.key", "-out", "app.crt"]
    subprocess.run([*request, *usage, *out], cwd=directory, check=True, stderr=subprocess.DEVNULL)
    return [f"--key={directory / 'app.key'}", f"--certificate={directory / 'app.crt'}"]


def turn(directory: Path, who: list[str]) -> tuple[Round, Round, int]:
    """Run every program once; return seconds of both kinds, and the peak memory of ours in KiB."""
    source, erofs, tree, image = (directory / n for n in ("files", "erofs", "tree", "image"))
    root_hash = directory / "hash"
    for file in (erofs, tree, image):
        file.unlink(missing_ok=True)
    tool = str(Path(sys.executable).with_name("bootseal"))
    mkfs, verity = proc.find_tool("mkfs.erofs"), proc.find_tool("veritysetup")
    name = ["--name=bench", "--version=1", "--entry=/usr/bin/bench", "-o", str(image)]
    first = timed([mkfs, *_OPTIONS, str(erofs), str(source)])
    options = [f"--root-hash-file={root_hash}", str(erofs), str(tree)]
    second = timed([verity, "format", *options])
    build = timed([tool, "app", "build", str(source), *name, *who])
    verify = timed([verity, "verify", str(erofs), str(tree), root_hash.read_text().strip()])
    check = timed([tool, "app", "check", str(image), who[1]])
    blocks = timed([tool, "app", "check", "--no-inside", str(image), who[1]])
    wall, cpu = (
        Round(
            mkfs=first[kind],
            format=second[kind],
            build=build[kind],
            verify=verify[kind],
            check=check[kind],
            blocks=blocks[kind],
        )
        for kind in (0, 1)
    )
    return wall, cpu, max(build[2], check[2], blocks[2])


def medians(rounds: list[Round]) -> dict[str, float]:
    """Return the median of each figure."""
    names = ("mkfs", "format", "build", "verify", "check", "blocks", "build_ratio")
    return {n: round(statistics.median(getattr(each, n) for each in rounds), 3) for n in names}


def main(arguments: list[str]) -> int:
    """Measure, print, and end with 1 when the bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--size", type=int, default=100, help="MiB of files")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--directory", default="/dev/shm", help="where the files are")  # noqa: S108
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.directory) as scratch:
        directory = Path(scratch)
        os.environ.pop("SOURCE_DATE_EPOCH", None)
        os.environ["TMPDIR"] = scratch
        files(directory / "files", given.size)
        who = keys(directory)
        turns = [turn(directory, who) for _ in range(given.pairs + 1)][1:]
    ratio = statistics.median(each.ratio for each, _, _ in turns)
    document = {
        "mib": given.size,
        "rounds": given.pairs,
        "seconds": medians([each for each, _, _ in turns]),
        "cpu_seconds": medians([each for _, each, _ in turns]),
        "ratio": round(ratio, 3),
        "cpu_ratio": round(statistics.median(each.ratio for _, each, _ in turns), 3),
        "bound": BOUND,
        "peak_memory_mib": max(memory for _, _, memory in turns) // KIB,
    }
    sys.stdout.write(json.dumps(document, indent=None if given.json else 1) + "\n")
    return 1 if ratio > BOUND else 0
