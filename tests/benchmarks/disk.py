# SPDX-License-Identifier: MIT
"""How long the check of a 1 GiB disk takes, compared with `veritysetup verify` of its root alone.

    python -m tests.benchmarks.disk [--pairs N] [--keep DIR]

Makes a disk of 1 GiB with two slots whose roots (440 MiB of noise) fill it, signed with keys of its
own. Then runs in turns `veritysetup verify` and `bootseal disk check --no-inside`, as programs, and
the check alone, without the start of Python. Prints seconds, the median ratio of the pairs for
both, the ratios of the best times, and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from tests.benchmarks.__main__ import installed
from tests.unit.check import conftest as made

from bootseal import documents
from bootseal.check import disk as check
from bootseal.check import expected
from bootseal.device import Partition
from bootseal.disk import image
from bootseal.disk.layout import parse_wks
from bootseal.fit import control_dtb
from bootseal.formats import boot_partition
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.uboot import slot_state
from bootseal.keys.public import from_pem
from bootseal.keys.signers.file import FileSigner
from bootseal.measure import pcr_policy
from bootseal.measure.predict import predict
from bootseal.progress import Silent
from bootseal.units import GIB, KIB, MIB

_ROOT = 440 * MIB
_SIZES = {
    "bootstate": 1,
    "boot-a": 32,
    "boot-b": 32,
    "root-a": 440,
    "root-a-verity": 8,
    "root-b": 440,
    "root-b-verity": 8,
}
_KERNEL = 17 * MIB


def partitions() -> tuple[Partition, ...]:
    """Return the partitions of the disk."""
    found: list[Partition] = []
    for number, (name, size) in enumerate(_SIZES.items(), start=1):
        offset = found[-1].offset + found[-1].size if found else MIB
        unique = uuid.UUID(int=number)
        found.append(
            Partition(
                number=number,
                name=name,
                type=made.TYPE,
                uuid=str(unique),
                offset=offset,
                size=size * MIB,
            )
        )
    return tuple(found)


def make(directory: Path) -> str:
    """Make the disk and all that is needed to check it; return the root hash."""
    key, vendor = (
        FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=2048)) for _ in "12"
    )
    data = os.urandom(_ROOT)
    root_hash, tree = made.make_tree(data)
    fit = made.make_fit(root_hash, key, blocks=_ROOT // 4096, kernel=os.urandom(_KERNEL))
    document = pcr_policy.sign(
        [predict(fit_format.parse(fit), f"conf-{slot}") for slot in "ab"], vendor
    )
    tail = boot_partition.pad_policy(documents.dump(document))
    contents = {"bootstate": slot_state.emit(made.STATE, MIB), "verity": tree}
    layout = ["bootloader --ptable gpt"]
    with (directory / "disk.img").open("wb") as disk:
        disk.truncate(GIB)
        for place, content in made.tables(partitions(), GIB).items():
            os.pwrite(disk.fileno(), content, place)
        for each in partitions():
            content = contents.get(each.name.split("-")[-1], data)
            if each.name.startswith("boot-"):
                os.pwrite(disk.fileno(), tail, each.offset + each.size - 64 * KIB)
                content = fit
            os.pwrite(disk.fileno(), content, each.offset)
            layout.append(
                f"part --part-name {each.name} --part-type {each.type} --uuid {each.uuid}"
                f" --align 1024 --fixed-size {each.size // MIB}M"
            )
    board = fdt.emit(fdt.Node("", {}, [fdt.Node("chosen")]))
    control = control_dtb.add_key(board, key.public_key, hint="dev", algorithm="sha256,rsa2048")
    (directory / "control.dtb").write_bytes(control)
    (directory / "policy.pub").write_bytes(vendor.public_key.pem)
    (directory / "layout.wks").write_text("\n".join(layout) + "\n")
    (directory / "root.img").write_bytes(data)
    (directory / "root.verity").write_bytes(tree)
    return root_hash.hex()


def timed(argv: list[str]) -> tuple[float, float, int]:
    """Run a program; return seconds, seconds of CPU time, and peak memory in KiB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        argv, env=installed(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{argv[0]} failed: {said.decode(errors='replace')[-300:]}")
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def checked(directory: Path) -> float:
    """Check the disk in this process; return seconds."""
    layout = parse_wks((directory / "layout.wks").read_text())
    key = from_pem((directory / "policy.pub").read_bytes())
    control = (directory / "control.dtb").read_bytes()
    wanted = expected.of_layout(directory / "disk.img", control, layout, policy_key=key)
    start = time.perf_counter()
    with image.opened(wanted.image) as disk:
        errors = check.check(disk, wanted, Silent(), inside=False).errors
    if errors:
        sys.exit(f"the disk is refused: {errors[0]}")
    return time.perf_counter() - start


def main() -> None:
    """Make the disk, run the pairs, print what came out as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=7)
    options.add_argument("--keep", type=Path, help="directory to work in, and to keep")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bootseal-benchmark-") as scratch:
        directory = given.keep or Path(scratch)
        # In a process of its own: what starts later inherits the peak memory of this one.
        with ProcessPoolExecutor(1) as pool:
            root_hash = pool.submit(make, directory).result()
        names = {path.name: str(path) for path in directory.iterdir()}
        theirs = ["/usr/sbin/veritysetup", "verify", names["root.img"], names["root.verity"]]
        ours = [str(Path(sys.executable).with_name("bootseal")), "disk", "check", "--no-inside"]
        ours += [names["disk.img"], f"--dtb={names['control.dtb']}"]
        ours += [f"--layout={names['layout.wks']}", f"--policy-key={names['policy.pub']}"]
        runs = [
            (timed([*theirs, root_hash]), timed(ours), checked(directory))
            for _ in range(given.pairs)
        ]
    best = [min(seconds) for seconds in zip(*((a[0], b[0], c) for a, b, c in runs), strict=True)]
    sys.stdout.write(
        json.dumps(
            {
                "veritysetup_seconds": [round(a[0], 2) for a, _, _ in runs],
                "bootseal_seconds": [round(b[0], 2) for _, b, _ in runs],
                "check_seconds": [round(c, 2) for _, _, c in runs],
                "cpu_seconds": [min(a[1] for a, _, _ in runs), min(b[1] for _, b, _ in runs)],
                "ratio_of_programs": round(statistics.median(b[0] / a[0] for a, b, _ in runs), 2),
                "ratio_of_check": round(statistics.median(c / a[0] for a, _, c in runs), 2),
                "best_ratios": [round(each / best[0], 2) for each in best[1:]],
                "peak_memory_mib": max(b[2] for _, b, _ in runs) // 1024,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
