# SPDX-License-Identifier: MIT
"""Fuzzes one reader with Atheris, which must be installed: pip install atheris==3.0.0

    python -m tests.fuzz.campaign tree|model|verifier DIRECTORY [libFuzzer options]

DIRECTORY is the corpus, where the seeds are put first. `-max_total_time=600` is ten minutes.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bootseal"]):
    from tests.fuzz import kept, targets
    from tests.fuzz.mutants import mutant
    from tests.vectors.fit_attacks import CATALOGUE

    from bootseal.errors import BootsealError

_LARGE = 1 << 16
_SMALL = 64


def seeds() -> list[bytes]:
    """Return the kept corpus, and what the catalogue of attacks makes of a genuine FIT."""
    attacked = [attack.change(kept.genuine()[0].fit) for attack in CATALOGUE]
    return [*kept.fits().values(), *(fit for fit in attacked if len(fit) < _LARGE)]


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change a FIT as a FIT, or, half of the time, as bytes."""
    if len(data) >= _SMALL and seed % 2:
        try:
            return mutant(bytes(data), seed)[1][:max_size]
        except (BootsealError, LookupError, ValueError, StopIteration, struct.error):
            return bytes(atheris.Mutate(data, max_size))  # It is too broken for that.
    return bytes(atheris.Mutate(data, max_size))


def main() -> None:
    """Run until libFuzzer ends, with its figures on standard error."""
    if len(sys.argv) < 3 or sys.argv[1] not in {"tree", "model", "verifier"}:
        sys.exit(__doc__)
    name, directory = sys.argv[1], Path(sys.argv[2])
    directory.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds()):
        (directory / f"seed-{number:03}").write_bytes(seed)
    target = {
        "tree": targets.check_tree,
        "model": targets.check_model,
        "verifier": targets.check_verifier(kept.genuine()),
    }[name]
    arguments = [sys.argv[0], *sys.argv[3:], "-max_len=16384", str(directory)]
    atheris.Setup(arguments, target, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
