# SPDX-License-Identifier: MIT
"""Signing and verifying a FIT with many configurations, as the kernel's `make image.fit` makes.

    taskset -c 0 python -m tests.benchmarks.configurations [--counts 100,1200] [--rounds 3]

Whole programs, with the start of Python. The best of the rounds counts, in seconds of processor
time, which is that of the clock on one quiet core. Ends with 1 when 1,200 configurations take 5
seconds or more to sign, or 3 or more to verify.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests import samples
from tests.benchmarks.__main__ import ALGORITHM, HINT, Job, prepare, run

from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from collections.abc import Sequence

BOUND: Final = {"sign": 5.0, "verify": 3.0}
_BOUNDED: Final = 1200


def fit(number: int) -> bytes:
    """Return a FIT with this many device trees, each with its configuration."""
    images = [samples.image("kernel", "kernel", bytes(4096))]
    configurations = []
    sign_images = {"sign-images": b"kernel\0fdt\0"}
    hint = {"key-name-hint": HINT.encode() + b"\0", "algo": ALGORITHM.encode() + b"\0"}
    for each in range(number):
        tree = fdt.emit(fdt.Node("", {"compatible": f"acme,board-{each}".encode() + b"\0"}))
        images.append(samples.image(f"fdt-{each}", "flat_dt", tree))
        named = {"kernel": b"kernel\0", "fdt": f"fdt-{each}".encode() + b"\0"}
        signature = fdt.Node("signature-1", hint | sign_images)
        configurations.append(fdt.Node(f"conf-{each}", named, [signature]))
    nodes = [
        fdt.Node("images", {}, images),
        fdt.Node("configurations", {"default": b"conf-0\0"}, configurations),
    ]
    return fdt.emit(fdt.Node("", {"description": b"many\0", "timestamp": bytes(4)}, nodes))


def measure(directory: Path, number: int, rounds: int) -> dict[str, float]:
    """Return the best seconds of each program."""
    fresh, work, control = (directory / name for name in ("fresh.itb", "fit.itb", "control.dtb"))
    fresh.write_bytes(fit(number))
    program = Path(sys.executable).with_name("bootseal")
    key = directory / f"{HINT}.key"
    sign: Sequence[str | Path] = [
        program,
        "fit",
        "sign",
        work,
        "--key",
        key,
        "--hint",
        HINT,
        "--dtb",
        control,
    ]
    verify: Sequence[str | Path] = [program, "fit", "verify", work, "--dtb", control]
    times: dict[str, list[float]] = {"sign": [], "verify": []}
    for _ in range(rounds):
        job = Job(name="sign", command=sign, source=fresh, target=work)
        times["sign"].append(run(job).cpu)
        times["verify"].append(run(Job(name="verify", command=verify)).cpu)
    return {name: min(values) for name, values in times.items()}


def main() -> int:
    """Measure, print, and end with 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--counts", default=f"100,400,{_BOUNDED}", help="configurations")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    missed = False
    print("| configurations | sign, s | verify, s |\n|---|---|---|")  # noqa: T201
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        for number in map(int, options.counts.split(",")):
            found = measure(Path(name), number, options.rounds)
            print(f"| {number} | {found['sign']:.2f} | {found['verify']:.2f} |")  # noqa: T201
            over = any(found[key] >= bound for key, bound in BOUND.items())
            missed |= number <= _BOUNDED and over
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
