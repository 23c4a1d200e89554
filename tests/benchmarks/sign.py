# SPDX-License-Identifier: MIT
"""How long re-signing of a 1 GiB disk takes, compared with copying and hashing it with coreutils.

    python -m tests.benchmarks.sign build/device [--rounds N]

Signs a built device into a new directory with a key from a file, without the start of Python, and
runs in turns `cp --sparse=always` and `sha256sum` of the same disk. Prints the best and the median
of each in seconds, and the processor time of signing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa

from bootseal.check.expected import of_device
from bootseal.disk import image, partitions
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.signers.file import FileSigner
from bootseal.resign import apply
from bootseal.resign import plan as late
from bootseal.resign.plan import Signing

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=4096))


def sign(directory: Path, work: Path) -> None:
    """Sign the device into a new directory."""
    how = Signing(fit=KEY, hint="new-1", algorithm=Algorithm.parse("sha256,rsa4096"), trust=True)
    target = of_device(directory)
    with image.opened(target.image) as disk:
        plan = late.plan(disk, target, partitions.read(disk, disk.size), how)
    apply.write(target, plan, how, target.image, work / "signed", who="", when="")


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that pass, and those of this process's processor time."""
    start, used = time.monotonic(), time.process_time()
    run()
    return time.monotonic() - start, time.process_time() - used


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    disk = of_device(options.device).image
    found: dict[str, list[tuple[float, float]]] = {"sign": [], "cp": [], "sha256sum": []}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=options.device.parent) as name:
            work = Path(name)
            found["sign"].append(timed(partial(sign, options.device, work)))
            copy = ["cp", "--sparse=always", str(disk), str(work / "copy")]
            found["cp"].append(timed(partial(subprocess.run, copy, check=True)))
            hashing = ["sha256sum", str(disk)]
            found["sha256sum"].append(
                timed(partial(subprocess.run, hashing, check=True, capture_output=True))
            )
    print(f"{disk.stat().st_size / (1 << 30):.2f} GiB, {options.rounds} rounds")  # noqa: T201
    for name, times in found.items():
        wall = [each[0] for each in times]
        best, middle = min(wall), statistics.median(wall)
        used = min(each[1] for each in times)
        print(f"{name:10} best {best:6.2f} s  median {middle:6.2f} s  CPU {used:5.2f} s")  # noqa: T201


if __name__ == "__main__":
    main()
