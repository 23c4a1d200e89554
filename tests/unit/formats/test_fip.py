# SPDX-License-Identifier: MIT
"""FIPs: what is written is read, and every byte outside of the images has one right value."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.errors import FormatError, UsageError
from bootseal.formats import fip

IMAGES = {"nt-fw": b"U-Boot" * 7, "tb-fw": b"BL2", "soc-fw": b"\xffBL31"}
GOOD = fip.emit(IMAGES, alignment=64)
# ToC entries: BL2 at 0x10, BL31 at 0x38, BL33 at 0x60, the end at 0x88; images from 0xc0 on.
ENTRY = 0x38


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(list(fip.IMAGES)), st.binary(min_size=1, max_size=99)),
    st.sampled_from([1 << shift for shift in range(13)]),
)
def test_what_is_written_is_read(images: dict[str, bytes], alignment: int) -> None:
    if not images:
        return
    found = fip.parse(fip.emit(images, alignment=alignment))

    assert {entry.name: found.image(entry.name) for entry in found.entries} == images
    assert all(entry.offset % alignment == 0 for entry in found.entries)
    assert found.image("none") is None


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_fip_or_a_format_error(data: bytes, header: bool) -> None:  # noqa: FBT001
    content = GOOD[:16] + data if header else data
    try:
        found = fip.parse(content)
    except FormatError:
        return
    images = {entry.name: content[entry.offset : entry.end] for entry in found.entries}
    assert fip.emit(images, alignment=found.alignment) == content


def changed(offset: int, value: bytes) -> bytes:
    return GOOD[:offset] + value + GOOD[offset + len(value) :]


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


CASES = {
    "empty": (b"", "the FIP has 0 bytes: its header alone has 16"),
    "name": (changed(0, b"\0"), "name at 0x0 is 0xaa640000: expected 0xaa640001"),
    "serial": (changed(4, b"\0"), "serial number at 0x4 is 0x12345600: expected 0x12345678"),
    "flags": (changed(12, b"\1"), "flags at 0x8 is 0x100000000: expected 0x0"),
    "uuid": (changed(ENTRY, b"\0"), "UUID 00d4086d-4cfe-9846-9b95-2950cbbd5a00 is not one"),
    "twice": (changed(ENTRY, GOOD[0x10:0x20]), "tb-fw follows tb-fw: expected each image once"),
    "order": (
        changed(ENTRY, GOOD[0x60:0x70]),
        "ToC entry 2 at 0x60: nt-fw follows nt-fw: expected each image once",
    ),
    "offset": (changed(ENTRY + 16, u64(0x140)), "soc-fw at 0x38: the offset is 0x140"),
    "overlap": (changed(ENTRY + 16, u64(0xC0)), "the offset is 0xc0: tb-fw ends at 0xc3"),
    "unaligned": (changed(ENTRY + 16, u64(0x101)), "tb-fw at 0x10: the offset is 0xc0"),
    "far offset": (changed(ENTRY + 16, u64((1 << 64) - 64)), "the offset is 0xffffffffffffffc0"),
    "size": (changed(ENTRY + 24, u64(4)), "the padding in front of nt-fw has 0x31 at 0x104"),
    "no size": (changed(ENTRY + 24, u64(0)), "soc-fw at 0x38: the size is 0"),
    "far size": (changed(ENTRY + 24, u64(1 << 63)), "ends at 0x8000000000000100: the file ends"),
    "entry flags": (changed(ENTRY + 32, u64(1)), "entry 1 at 0x38: the flags are 0x1"),
    "end offset": (changed(0x98, u64(0x200)), "the offset of the end is 0x200: the file ends"),
    "end size": (changed(0xA0, u64(1)), "the end of the ToC: the size is 0x1: expected 0"),
    "end flags": (changed(0xA8, u64(2)), "entry 3 at 0x88: the flags are 0x2"),
    "no end": (changed(0x88, b"\1"), "UUID 01000000-0000-0000-0000-000000000000 is not one"),
    "gap": (changed(0xBF, b"\1"), "the padding in front of tb-fw has 0x01 at 0xbf"),
    "padding": (changed(0xC3, b"\4"), "the padding in front of soc-fw has 0x04 at 0xc3"),
    "last byte": (changed(len(GOOD) - 1, b"\1"), "the padding at the end has 0x01 at 0x17f"),
    "longer": (GOOD + b"\0", "offset of the end is 0x180: the file ends at 0x181"),
    "shorter": (GOOD[:-1], "offset of the end is 0x180: the file ends at 0x17f"),
    "cut": (GOOD[:0x90], "the ToC is cut off: the entry at 0x88 leaves the file"),
    "no images": (GOOD[:16] + bytes(16) + u64(56) + bytes(16), "the FIP holds no images"),
    "too large": (GOOD + bytes(fip.MAX_SIZE), "expected at most 67108864"),
}


@pytest.mark.parametrize(("data", "said"), CASES.values(), ids=list(CASES))
def test_each_change_outside_of_the_images_is_refused_by_its_name(data: bytes, said: str) -> None:
    assert fip.parse(GOOD).image("tb-fw") == b"BL2"
    with pytest.raises(FormatError) as caught:
        fip.parse(data)
    assert said in caught.value.message


def content(data: bytes) -> dict[str, bytes | None] | None:
    try:
        found = fip.parse(data)
    except FormatError:
        return None
    return {entry.name: found.image(entry.name) for entry in found.entries}


def test_no_bit_outside_of_the_images_can_be_flipped_without_changing_an_image() -> None:
    """A size may grow into padding: the image is another one then, which its hash shows."""
    inside = {offset for each in fip.parse(GOOD).entries for offset in range(each.offset, each.end)}
    sizes = {
        offset
        for each in fip.parse(GOOD).entries
        for offset in range(each.place + 24, each.place + 32)
    }
    for offset in set(range(len(GOOD))) - inside:
        for bit in range(8):
            data = changed(offset, bytes([GOOD[offset] ^ 1 << bit]))
            if offset in sizes:
                assert content(data) != IMAGES
            else:
                assert content(data) is None


@pytest.mark.parametrize(
    ("images", "alignment", "said"),
    [
        ({}, 1, "a FIP needs at least one image"),
        ({"tb-fw": b""}, 1, "empty image tb-fw"),
        ({"tb_fw": b"a"}, 1, "TF-A has no image 'tb_fw'"),
        ({"tb-fw": b"a"}, 3, "alignment 3: expected a power of two of up to 1048576"),
        ({"tb-fw": b"a"}, 0, "alignment 0: expected"),
        ({"tb-fw": b"a"}, 1 << 21, "alignment 2097152: expected"),
        ({"tb-fw": bytes(fip.MAX_SIZE)}, 1, "the FIP would have"),
    ],
)
def test_what_cannot_be_written_is_refused(
    images: dict[str, bytes], alignment: int, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        fip.emit(images, alignment=alignment)
    assert said in caught.value.message
