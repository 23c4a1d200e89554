# SPDX-License-Identifier: MIT
"""Firmware image packages (FIP), the files that Trusted Firmware-A loads boot loaders from.

Read strictly: TF-A finds images by UUID and looks at few of the other bytes, so each byte that it
does not look at has one right value here, the one that fiptool writes. All numbers are
little-endian. Header, 16 bytes: name u32, serial number u32, flags u64. Entries of 40 bytes: UUID,
offset from the start of the file u64, size u64, flags u64; the last one has the null UUID and the
offset of the end. Images follow in the order of the entries, filled up with zeros to an alignment.

Spec: TF-A, docs/design/firmware-design.rst, "Firmware Image Package (FIP)", and
include/tools_share/firmware_image_package.h.
"""

from __future__ import annotations

import difflib
import struct
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.errors import FormatError, UsageError
from bootseal.units import MIB, align_up

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer

MAGIC: Final = bytes.fromhex("010064aa")
HEADER: Final = bytes.fromhex("010064aa785634120000000000000000")
"""The one right header of a FIP."""
MAX_SIZE: Final = 64 * MIB
"""Bytes a FIP may have: more than any boot loader, and little enough to be held in memory."""
MAX_ALIGNMENT: Final = MIB

_NAME: Final = 0xAA640001
_SERIAL: Final = 0x12345678
_HEADER: Final = struct.Struct("<IIQ")
_ENTRY: Final = struct.Struct("<16sQQQ")
_NULL: Final = bytes(16)


class Image(NamedTuple):
    """An image that TF-A knows: fiptool's name, the UUID as its bytes print, and what it is."""

    name: str
    uuid: str
    title: str


# In the order in which fiptool writes them.
IMAGES: Final = {
    row.name: row
    for row in (
        Image("scp-fwu-cfg", "65922703-2f74-e644-8dff-579ac1ff0610", "SCP updater configuration"),
        Image("ap-fwu-cfg", "60b3eb37-c1e5-ea41-9df3-19eda11f6801", "AP updater configuration"),
        Image("fwu", "4f511d11-2be5-4e49-b4c5-83c2f715840a", "updater NS_BL2U"),
        Image("fwu-cert", "71408ab2-18d6-874c-8b2e-c6dccd50f096", "updater certificate"),
        Image("tb-fw", "5ff9ec0b-4d22-3e4d-a544-c39d81c73f0a", "trusted boot firmware BL2"),
        Image("scp-fw", "9766fd3d-89be-e849-ae5d-78a140608213", "SCP firmware SCP_BL2"),
        Image("soc-fw", "47d4086d-4cfe-9846-9b95-2950cbbd5a00", "runtime firmware BL31"),
        Image("tos-fw", "05d0e189-53dc-1347-8d2b-500a4b7a3e38", "trusted OS BL32"),
        Image("tos-fw-extra1", "0b70c29b-2a5a-7840-9f65-0a5682738288", "trusted OS, extra 1"),
        Image("tos-fw-extra2", "8ea87bb1-cfa2-3f4d-85fd-e7bba50220d9", "trusted OS, extra 2"),
        Image("nt-fw", "d6d0eea7-fcea-d54b-9782-9934f234b6e4", "non-trusted firmware BL33"),
        Image("rmm-fw", "6c0762a6-12f2-4b56-92cb-ba8f633606d9", "realm monitor"),
        Image("fw-config", "5807e16a-8459-47be-8ed5-648e8dddab0e", "FW_CONFIG"),
        Image("hw-config", "08b8f1d9-c9cf-9349-a962-6fbc6b7265cc", "HW_CONFIG"),
        Image("tb-fw-config", "6c0458ff-af6b-7d4f-82ed-aa27bc69bfd2", "TB_FW_CONFIG"),
        Image("soc-fw-config", "9979814b-0376-fb46-8c8e-8d267f7859e0", "SOC_FW_CONFIG"),
        Image("tos-fw-config", "26257c1a-dbc6-7f47-8d96-c4c4b0248021", "TOS_FW_CONFIG"),
        Image("nt-fw-config", "28da9815-93e8-7e44-ac66-1aaf801550f9", "NT_FW_CONFIG"),
        Image("rot-cert", "862d1d72-f860-e411-920b-8be762160f24", "root of trust key certificate"),
        Image(
            "trusted-key-cert", "827ee890-f860-e411-a1b4-777a21b4f94c", "trusted key certificate"
        ),
        Image("scp-fw-key-cert", "024221a1-f860-e411-8d9b-f33c0e15a014", "SCP key certificate"),
        Image("soc-fw-key-cert", "8ab8becc-f960-e411-9ad0-eb4822d8dcf8", "SoC key certificate"),
        Image("tos-fw-key-cert", "9477d603-fb60-e411-85dd-b7105b8cee04", "OS key certificate"),
        Image("nt-fw-key-cert", "8ad5832a-fb60-e411-8aaf-df30bbc49859", "BL33 key certificate"),
        Image("tb-fw-cert", "d6e269ea-5d63-e411-8d8c-9fbabe9956a5", "BL2 certificate"),
        Image("scp-fw-cert", "44be6f04-5e63-e411-b28b-73d8eaae9656", "SCP content certificate"),
        Image("soc-fw-cert", "e2b20c20-5e63-e411-9ce8-abccf92bb666", "SoC content certificate"),
        Image("tos-fw-cert", "a49f4411-5e63-e411-8728-3f05722af33d", "OS content certificate"),
        Image("nt-fw-cert", "8ec4c1f3-5d63-e411-a7a9-87ee40b23fa7", "BL33 content certificate"),
        Image("sip-sp-cert", "776dfd44-8697-4c3b-91eb-c13e025a2a6f", "SiP partition certificate"),
        Image("plat-sp-cert", "ddcbbf4a-cad6-11ea-87d0-0242ac130003", "partition certificate"),
        Image("cca-cert", "36d83d85-761d-4daf-96f1-cd99d6569b00", "CCA certificate"),
        Image("core-swd-cert", "52222d31-820f-494d-8bbc-ea6825d3c35a", "secure world certificate"),
        Image("plat-key-cert", "d43cd902-5b9f-412e-8ac6-92b6d18be60d", "platform key certificate"),
    )
}
"""The images that TF-A knows, by fiptool's names."""

_BY_UUID: Final = {uuid.UUID(row.uuid).bytes: row.name for row in IMAGES.values()}
_ORDER: Final = {name: number for number, name in enumerate(IMAGES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An image of a FIP.

    Attributes:
        name: fiptool's name.
        place: Offset of its entry in the table of contents.
        offset: Offset of its first byte in the file.
        size: Bytes.
    """

    name: str
    place: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Offset of the first byte after it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Fip:
    """A FIP.

    Attributes:
        data: All of its bytes.
        entries: Its images in file order.
        toc_end: Offset of the first byte behind the table of contents.
        alignment: What every image is aligned to, in bytes, a power of two.
    """

    data: Buffer
    entries: tuple[Entry, ...]
    toc_end: int
    alignment: int

    def image(self, name: str) -> bytes | None:
        """Return the bytes of an image, None when it is not in the FIP."""
        for entry in self.entries:
            if entry.name == name:
                return bytes(self.data[entry.offset : entry.end])
        return None


def parse(data: Buffer) -> Fip:
    """Read a FIP, and account for every byte outside of its images.

    Args:
        data: The whole file, and nothing behind it.

    Raises:
        FormatError: It is not one, or a byte outside of the images does not have its one right
            value.
    """
    if len(data) > MAX_SIZE:
        raise FormatError(f"the FIP has {len(data)} bytes: expected at most {MAX_SIZE}")
    _header(data)
    entries: list[Entry] = []
    place = _HEADER.size
    while True:
        raw, offset, size, flags = _unpack(data, place)
        what = f"ToC entry {len(entries)} at {place:#x}"
        if flags:
            raise FormatError(f"{what}: the flags are {flags:#x}: expected 0")
        if raw == _NULL:
            break
        entries.append(_entry(entries, raw, Entry(name="", place=place, offset=offset, size=size)))
        place += _ENTRY.size
    if size:
        raise FormatError(f"{what}, the end of the ToC: the size is {size:#x}: expected 0")
    if not entries:
        raise FormatError("the FIP holds no images: expected at least one")
    if offset != len(data):
        raise FormatError(
            f"{what}, the end of the ToC: the offset of the end is {offset:#x}: the file ends at "
            f"{len(data):#x}"
        )
    toc_end = place + _ENTRY.size
    alignment = _alignment(entries, offset)
    _padding(data, entries, toc_end, alignment)
    return Fip(data=data, entries=tuple(entries), toc_end=toc_end, alignment=alignment)


def size(data: Buffer) -> int:
    """Return how many bytes the FIP at the start of something longer has, as its table says.

    Nothing else of it is checked: `parse` does, given these bytes.

    Raises:
        FormatError: It does not start with a FIP, or its table does not end.

    >>> size(emit({"nt-fw": b"U-Boot"}) + bytes(512))
    102
    """
    _header(data)
    for number in range(len(IMAGES) + 1):
        raw, offset, _, _ = _unpack(data, _HEADER.size + number * _ENTRY.size)
        if raw == _NULL:
            return offset
    raise FormatError(f"the ToC has more than {len(IMAGES)} entries: expected it to end")


def _header(data: Buffer) -> None:
    if len(data) < _HEADER.size:
        raise FormatError(f"the FIP has {len(data)} bytes: its header alone has {_HEADER.size}")
    found = _HEADER.unpack_from(data)
    for (what, offset, expected), value in zip(
        (("name", 0, _NAME), ("serial number", 4, _SERIAL), ("flags", 8, 0)), found, strict=True
    ):
        if value != expected:
            raise FormatError(
                f"the FIP header's {what} at {offset:#x} is {value:#x}: expected {expected:#x}"
            )


def _unpack(data: Buffer, place: int) -> tuple[bytes, int, int, int]:
    if place + _ENTRY.size > len(data):
        raise FormatError(
            f"the ToC is cut off: the entry at {place:#x} leaves the file, which ends at "
            f"{len(data):#x}"
        )
    raw, offset, size, flags = _ENTRY.unpack_from(data, place)
    return bytes(raw), int(offset), int(size), int(flags)


def _entry(before: list[Entry], raw: bytes, found: Entry) -> Entry:
    """Return an entry with the name of its UUID, which comes once and in fiptool's order."""
    what = f"ToC entry {len(before)} at {found.place:#x}"
    name = _BY_UUID.get(raw)
    if name is None:
        raise FormatError(f"{what}: the UUID {uuid.UUID(bytes=raw)} is not one that TF-A names")
    if before and _ORDER[name] <= _ORDER[before[-1].name]:
        raise FormatError(
            f"{what}: {name} follows {before[-1].name}: expected each image once, in the order in "
            "which fiptool writes them"
        )
    return Entry(name=name, place=found.place, offset=found.offset, size=found.size)


def _alignment(entries: list[Entry], end: int) -> int:
    """Return the largest power of two that divides the offset of every image and of the end."""
    offsets = end
    for entry in entries:
        offsets |= entry.offset
    return min(offsets & -offsets, MAX_ALIGNMENT)


def _padding(data: Buffer, entries: list[Entry], toc_end: int, alignment: int) -> None:
    """Check that images follow each other, and that nothing but zeros is between them."""
    end, last = toc_end, "the ToC"
    for entry in entries:
        what = f"{entry.name} at {entry.place:#x}"
        if not entry.size:
            raise FormatError(f"{what}: the size is 0: expected at least 1")
        expected = align_up(end, alignment)
        if entry.offset != expected:
            raise FormatError(
                f"{what}: the offset is {entry.offset:#x}: {last} ends at {end:#x}, so expected "
                f"{expected:#x}"
            )
        if entry.end > len(data):
            raise FormatError(
                f"{what}: the image ends at {entry.end:#x}: the file ends at {len(data):#x}"
            )
        _zeros(data, end, entry.offset, f"in front of {entry.name}")
        end, last = entry.end, entry.name
    if len(data) != align_up(end, alignment):
        raise FormatError(
            f"{last} ends at {end:#x}, so the file ends at {align_up(end, alignment):#x}: observed "
            f"{len(data):#x}"
        )
    _zeros(data, end, len(data), "at the end")


def _zeros(data: Buffer, start: int, end: int, where: str) -> None:
    for offset, value in enumerate(bytes(data[start:end]), start):
        if value:
            raise FormatError(f"the padding {where} has {value:#04x} at {offset:#x}: expected 0")


def emit(images: Mapping[str, bytes], *, alignment: int = 1) -> bytes:
    """Write a FIP, byte for byte as fiptool does.

    Args:
        images: Content by fiptool's names, in any order.
        alignment: What every image is aligned to, in bytes, a power of two of up to 1 MiB.

    Raises:
        UsageError: A name is unknown, an image is empty, there are none, the alignment is not
            one, or all of it is larger than a FIP may be.

    >>> parse(emit({"nt-fw": b"U-Boot"})).image("nt-fw")
    b'U-Boot'
    """
    if unknown := sorted(images.keys() - IMAGES.keys()):
        near = difflib.get_close_matches(unknown[0], IMAGES, n=1)
        raise UsageError(
            f"TF-A has no image {unknown[0]!r}: expected one of {', '.join(IMAGES)}",
            hint=f"the nearest is {near[0]}" if near else "",
        )
    if not images or not all(images.values()):
        empty = ", ".join(name for name, data in images.items() if not data)
        raise UsageError(f"empty image {empty}" if empty else "a FIP needs at least one image")
    if alignment not in {1 << shift for shift in range(MAX_ALIGNMENT.bit_length())}:
        raise UsageError(f"alignment {alignment}: expected a power of two of up to {MAX_ALIGNMENT}")
    parts = list(_parts(images, alignment))
    size = sum(map(len, parts))
    if size > MAX_SIZE:
        raise UsageError(f"the FIP would have {size} bytes: expected at most {MAX_SIZE}")
    return b"".join(parts)


def _parts(images: Mapping[str, bytes], alignment: int) -> Iterator[bytes]:
    """Yield table of contents, images and padding."""
    toc = _HEADER.pack(_NAME, _SERIAL, 0)
    end = _HEADER.size + (len(images) + 1) * _ENTRY.size
    content: list[bytes] = []
    for name in sorted(images, key=_ORDER.__getitem__):
        offset = align_up(end, alignment)
        content += [bytes(offset - end), images[name]]
        toc += _ENTRY.pack(uuid.UUID(IMAGES[name].uuid).bytes, offset, len(images[name]), 0)
        end = offset + len(images[name])
    yield toc + _ENTRY.pack(_NULL, align_up(end, alignment), 0, 0)
    yield from content
    yield bytes(align_up(end, alignment) - end)
