# SPDX-License-Identifier: MIT
"""What BL1 and BL2 start, and what they refuse: their own code, under sanitizers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import pytest
from tests.rom.host import CRASH, OK, REFUSED
from tests.unit.firmware import fips

if TYPE_CHECKING:
    from tests.rom.host import Programs

pytestmark = pytest.mark.tool("clang")

HEADER: Final = 16
ENTRY: Final = 40
END: Final = HEADER + 9 * ENTRY

FIELDS: Final = {
    "name": 0,
    "serial number": 4,
    "header flags": 8,
    "platform flags": 12,
    "UUID of BL2": HEADER,
    "offset of BL2": HEADER + 16,
    "size of BL2": HEADER + 24,
    "flags of BL2": HEADER + 32,
    "UUID of the last certificate": END - ENTRY,
    "null UUID": END,
    "offset of the end": END + 16,
    "size of the end": END + 24,
    "flags of the end": END + 32,
}
"""Where the parts of a FIP begin that no signature covers."""


def genuine() -> bytes:
    return fips.signed("rsa2048", alignment=1)


def root() -> str:
    return fips.root_hash("rsa2048")


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


def with_offset(data: bytes, offset: int, size: int | None = None) -> bytes:
    """Say that BL2 is elsewhere."""
    _, there = struct.unpack_from("<QQ", data, HEADER + 16)
    changed = bytearray(data)
    struct.pack_into("<QQ", changed, HEADER + 16, offset, there if size is None else size)
    return bytes(changed)


@pytest.mark.parametrize("kind", ["rsa2048", "rsa4096", "ecdsa256"])
def test_genuine_fip_is_started_by_both_stages(rom: Programs, kind: str) -> None:
    fip = fips.signed(kind, alignment=1)
    assert rom.ask("bl1", [fip], fips.root_hash(kind)) == [OK]
    assert rom.ask("bl2", [fip], fips.root_hash(kind)) == [OK]


def test_fip_of_another_master_root_key_is_refused_by_both_stages(rom: Programs) -> None:
    other = fips.root_hash("rsa2048", first=1)
    assert rom.ask("bl1", [genuine()], other) == [REFUSED]
    assert rom.ask("bl2", [genuine()], other) == [REFUSED]


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("field", FIELDS)
def test_changed_byte_that_no_signature_covers_is_refused(
    rom: Programs, field: str, bit: int
) -> None:
    changed = flipped(genuine(), FIELDS[field], bit)
    assert rom.ask("bl1", [changed], root()) == [REFUSED]


def test_header_bits_that_tfa_itself_does_not_look_at_are_why_ours_does(rom: Programs) -> None:
    """The twin: without our check a changed serial number and changed flags are started."""
    changed = [flipped(genuine(), FIELDS[name]) for name in ("serial number", "flags of BL2")]
    assert rom.ask("bl1-reader", changed, root()) == [OK, OK]


def test_byte_behind_the_end_is_refused(rom: Programs) -> None:
    last = bytes(0x400000 - len(genuine()) - 1) + b"\1"
    fips_ = [genuine() + b"\0", genuine() + b"\1", genuine() + last]
    assert rom.ask("bl1", fips_, root()) == [OK, REFUSED, REFUSED]


@pytest.mark.parametrize("alignment", [1, 16, 4096, 1 << 18])
def test_padding_between_images_is_zero(rom: Programs, alignment: int) -> None:
    fip = fips.signed("rsa2048", alignment=alignment)
    (size,) = struct.unpack_from("<Q", fip, HEADER + 24)
    padding = 416 + (-416 % alignment) + size
    assert rom.ask("bl1", [fip], root()) == [OK]
    if alignment > 1:
        assert fip[padding] == 0
        assert rom.ask("bl1", [flipped(fip, padding)], root()) == [REFUSED]


@pytest.mark.parametrize("place", [0x3FFFF0, 0x400000, 0x10000000, 2**63 - 1, 2**63, 2**64 - 8])
def test_image_outside_of_the_bank_is_refused(rom: Programs, place: int) -> None:
    changed = with_offset(genuine(), place)
    assert rom.ask("bl1", [changed], root()) == [REFUSED]
    assert rom.ask("bl1-reader", [changed], root()) == [REFUSED]


@pytest.mark.parametrize("place", [0x400000, 0x10000000, 2**63])
def test_image_outside_of_the_bank_is_read_without_the_bounds(rom: Programs, place: int) -> None:
    """CVE-2026-34878, the twin: TF-A as it was reads there, and AddressSanitizer says so."""
    assert rom.ask("bl1-unbounded", [with_offset(genuine(), place)], root()) == [CRASH]


def test_image_that_ends_outside_of_the_bank_is_refused(rom: Programs) -> None:
    changed = with_offset(genuine(), 0x3FFFF0, 0x20)
    assert rom.ask("bl1", [changed], root()) == [REFUSED]
    assert rom.ask("bl1-reader", [changed], root()) == [REFUSED]
    assert rom.ask("bl1-unbounded", [changed], root()) == [CRASH]


def test_every_bit_of_a_certificate_is_refused_by_one_stage(rom: Programs) -> None:
    fip = genuine()
    places = range(len(fip) - sum(map(len, fips.images(fip).values())), len(fip), 97)
    changed = [flipped(fip, place, place % 8) for place in places]
    answers = zip(rom.ask("bl1", changed, root()), rom.ask("bl2", changed, root()), strict=True)
    started = [place for place, both in zip(places, answers, strict=True) if set(both) == {OK}]
    assert started == []


@pytest.mark.parametrize(("bits", "expected"), [(0, OK), (0b1, OK), (0b11, REFUSED)])
def test_counter_that_the_tpm_refuses_is_refused(rom: Programs, bits: int, expected: str) -> None:
    fip = fips.signed("rsa2048", trusted=1, nontrusted=1, alignment=1)
    assert rom.ask("bl1", [fip], root(), bits) == [expected]
    assert rom.ask("bl2", [fip], root(), bits) == [expected]


def test_counter_that_the_tpm_could_not_refuse_is_refused(rom: Programs) -> None:
    answers = [
        rom.ask("bl1", [fips.signed("rsa2048", trusted=n, nontrusted=n, alignment=1)], root())
        for n in (63, 64)
    ]
    assert answers == [[OK], [REFUSED]]
