# SPDX-License-Identifier: MIT
"""Two verifiers, one verdict: BL1 and BL2 against `bootseal firmware verify` on changed FIPs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from tests.fuzz.fip_mutants import mutant
from tests.rom.host import CRASH, OK
from tests.unit.firmware import fips

from bootseal.errors import FormatError
from bootseal.firmware.verify import check
from bootseal.formats import fip

if TYPE_CHECKING:
    from tests.rom.host import Programs

MUTANTS: Final = int(os.environ.get("BOOTSEAL_MUTANTS", "100"))
KINDS: Final = ("rsa2048", "ecdsa256")
# Parts of two releases by the same keys are what the index in the TPM is for.
BEYOND: Final = {"firmware.counters-differ"}


def ours(data: bytes, root: str) -> set[str]:
    """Return the reasons for which we refuse a FIP; none for one that may start."""
    try:
        return {each.id for each in check(fip.parse(data), root).findings} - BEYOND
    except FormatError:
        return {"malformed"}


@pytest.mark.tool("clang")
@pytest.mark.timeout(1800 + 2 * MUTANTS)
@pytest.mark.parametrize("kind", KINDS)
def test_boot_rom_and_verify_agree(rom: Programs, kind: str) -> None:
    """`BOOTSEAL_MUTANTS=2500 pytest tests/rom -k agree` is the campaign."""
    root = fips.root_hash(kind)
    releases = [fips.signed(kind, trusted=n, nontrusted=n, alignment=1) for n in (1, 2)]
    releases.append(fips.signed(kind, first=5, alignment=1))
    mutants = [mutant(releases, seed) for seed in range(MUTANTS)]
    data = [each for _, each in mutants]
    first, second = rom.ask("bl1", data, root), rom.ask("bl2", data, root)
    assert CRASH not in {*first, *second}
    wrong = [
        (seed, name, reasons, (one, two))
        for seed, ((name, each), one, two) in enumerate(zip(mutants, first, second, strict=True))
        if (one == two == OK) is bool(reasons := ours(each, root))
    ]
    assert wrong == []
    started = sum(one == two == OK for one, two in zip(first, second, strict=True))
    assert 0 < started < len(mutants)
