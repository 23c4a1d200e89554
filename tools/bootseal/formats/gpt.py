# SPDX-License-Identifier: MIT
"""GUID partition tables: written, and read strictly, with any ambiguity an error.

All numbers are little-endian, all places in the structures are sectors of 512 bytes; the models
here give bytes. Nothing is allocated by what a field says before that is checked.

Spec: UEFI 2.10, sections 5.2.3 (protective MBR), 5.3.2 (header), 5.3.3 (entries).
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.device import Partition
from bootseal.errors import FormatError
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNATURE: Final = b"EFI PART"
MAX_ENTRIES: Final = 1024
"""More entries than that are refused, so a table is never larger than 128 KiB."""

_HEADER: Final = struct.Struct("<8s4I4Q16sQ3I")
_ENTRY: Final = struct.Struct("<16s16s3Q72s")
_RECORD: Final = struct.Struct("<B3sB3sII")
_REVISION: Final = 0x00010000
_CRC_AT: Final = slice(16, 20)
_UNUSED_TYPE: Final = bytes(16)
_RECORDS_AT: Final = 446
_BOOT_MARK: Final = b"\x55\xaa"
_PROTECTIVE: Final = 0xEE
_MAX_U32: Final = 0xFFFFFFFF
_COUNT: Final = 128
ROOM: Final = SECTOR + _COUNT * _ENTRY.size
"""Bytes of a header and its entries, as they are written."""
_FIRST_CHS: Final = b"\x00\x02\x00"
# The end of a disk that cylinders, heads and sectors cannot express, as tools write it.
_LAST_CHS: Final = (b"\xff\xff\xff", b"\xfe\xff\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A GPT header; places and sizes are in bytes from the start of the disk.

    Attributes:
        place: Where the header says that it is.
        other: Where it says that the other header is.
        first_usable: First byte partitions may use.
        last_usable: First byte behind what they may use.
        disk: GUID of the disk.
        entries: Where the entries are.
        count: How many there are, used or not.
        entries_crc: CRC-32 of all of them.
    """

    place: int
    other: int
    first_usable: int
    last_usable: int
    disk: str
    entries: int
    count: int
    entries_crc: int

    @property
    def entries_size(self) -> int:
        """Size of all entries in bytes."""
        return self.count * _ENTRY.size


@dataclass(frozen=True, slots=True, kw_only=True)
class GptEntry(Partition):
    """A partition as a table has it, with its attribute bits."""

    attributes: int


def parse_header(sector: bytes) -> Header:
    """Read a header.

    Args:
        sector: The 512 bytes it is in.

    Raises:
        FormatError: It is not a header of version 1.0, its checksum does not fit, or it says
            something no header may say.
    """
    if len(sector) != SECTOR or not sector.startswith(SIGNATURE):
        raise FormatError(
            f"found {sector[:8].hex()}: expected the signature {SIGNATURE.hex()}, 'EFI PART'"
        )
    numbers = _HEADER.unpack_from(sector)
    _, revision, size, crc, reserved, place, other, first, last, guid = numbers[:10]
    entries, count, each, table = numbers[10:]
    if (revision, size, each) != (_REVISION, _HEADER.size, _ENTRY.size):
        raise FormatError(
            f"version {revision:#x}, header of {size} bytes, entries of {each}: expected "
            f"{_REVISION:#x}, {_HEADER.size} and {_ENTRY.size}"
        )
    covered = bytearray(sector[:size])
    covered[_CRC_AT] = bytes(4)
    if (found := zlib.crc32(covered)) != crc:
        raise FormatError(f"the header's CRC is {found:#010x}: it says {crc:#010x}")
    if reserved or any(sector[size:]):
        raise FormatError("reserved bytes of the header's sector are not zero")
    if not 0 < count <= MAX_ENTRIES:
        raise FormatError(f"{count} entries: expected 1 to {MAX_ENTRIES}")
    if first > last:
        raise FormatError(f"sectors {first} to {last} may be used: that is backwards")
    return Header(
        place=place * SECTOR,
        other=other * SECTOR,
        first_usable=first * SECTOR,
        last_usable=(last + 1) * SECTOR,
        disk=str(uuid.UUID(bytes_le=guid)),
        entries=entries * SECTOR,
        count=count,
        entries_crc=table,
    )


def parse_entries(table: bytes, header: Header) -> tuple[GptEntry, ...]:
    """Read the entries in use.

    Args:
        table: All entries, `header.entries_size` bytes.
        header: The header they belong to.

    Raises:
        FormatError: The checksum does not fit, or an entry is malformed.
    """
    if len(table) != header.entries_size:
        raise FormatError(f"{len(table)} bytes of entries: expected {header.entries_size}")
    if (found := zlib.crc32(table)) != header.entries_crc:
        raise FormatError(
            f"the CRC of the entries is {found:#010x}: the header says {header.entries_crc:#010x}"
        )
    entries = []
    for number in range(1, header.count + 1):
        raw = table[(number - 1) * _ENTRY.size : number * _ENTRY.size]
        if raw.startswith(_UNUSED_TYPE):
            if any(raw):
                raise FormatError(f"entry {number} is not in use and not zero")
            continue
        entries.append(_entry(number, raw))
    return tuple(entries)


def _entry(number: int, raw: bytes) -> GptEntry:
    kind, unique, first, last, attributes, name = _ENTRY.unpack(raw)
    if first > last:
        raise FormatError(f"entry {number} goes from sector {first} to {last}: that is backwards")
    return GptEntry(
        number=number,
        name=_name(number, name),
        type=str(uuid.UUID(bytes_le=kind)),
        uuid=str(uuid.UUID(bytes_le=unique)),
        offset=first * SECTOR,
        size=(last - first + 1) * SECTOR,
        attributes=attributes,
    )


def _name(number: int, raw: bytes) -> str:
    try:
        text = raw.decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise FormatError(f"the name of entry {number} is not UTF-16") from error
    name = text.rstrip("\0")
    if "\0" in name:
        raise FormatError(f"the name of entry {number} goes on behind its end")
    return name


def emit(partitions: Sequence[GptEntry], disk: str, size: int) -> dict[int, bytes]:
    """Write the protective MBR and both tables of a disk, with 128 entries each.

    Args:
        partitions: They are within what may be used: behind the first `SECTOR + ROOM` bytes and
            in front of the last `ROOM`.
        disk: GUID of the disk.
        size: Bytes of the disk, a multiple of 512.

    Returns:
        What is to be written, by its offset.
    """
    table = bytearray(_COUNT * _ENTRY.size)
    for each in partitions:
        _ENTRY.pack_into(
            table,
            (each.number - 1) * _ENTRY.size,
            uuid.UUID(each.type).bytes_le,
            uuid.UUID(each.uuid).bytes_le,
            each.offset // SECTOR,
            each.end // SECTOR - 1,
            each.attributes,
            each.name.encode("utf-16-le"),
        )
    last = size // SECTOR - 1
    backup = last - ROOM // SECTOR + 1
    found = {0: _protective_mbr(last), 2 * SECTOR: bytes(table), backup * SECTOR: bytes(table)}
    for place, other, entries in ((1, last, 2), (last, 1, backup)):
        fields = (place, other, 1 + ROOM // SECTOR, backup - 1, uuid.UUID(disk).bytes_le, entries)
        head = [SIGNATURE, _REVISION, _HEADER.size, 0, 0, *fields]
        tail = (_COUNT, _ENTRY.size, zlib.crc32(table))
        header = bytearray(_HEADER.pack(*head, *tail))
        header[_CRC_AT] = zlib.crc32(header).to_bytes(4, "little")
        found[place * SECTOR] = bytes(header).ljust(SECTOR, b"\0")
    return found


def _protective_mbr(last: int) -> bytes:
    record = _RECORD.pack(0, _FIRST_CHS, _PROTECTIVE, _LAST_CHS[0], 1, min(last, _MAX_U32))
    rest = SECTOR - _RECORDS_AT - len(record) - len(_BOOT_MARK)
    return bytes(_RECORDS_AT) + record + bytes(rest) + _BOOT_MARK


def check_protective_mbr(sector: bytes, disk_size: int) -> None:
    """Check that the first sector is a protective MBR and nothing else.

    Args:
        sector: The first 512 bytes of the disk.
        disk_size: Size of the disk in bytes.

    Raises:
        FormatError: It is not, or it has room for more, such as boot code, that is not empty.
    """
    if len(sector) != SECTOR or not sector.endswith(_BOOT_MARK):
        raise FormatError(f"the first sector ends with {sector[-2:].hex()}: expected 55aa")
    if any(sector[:_RECORDS_AT]):
        raise FormatError("there is boot code or a disk signature, which nothing of ours reads")
    if any(sector[_RECORDS_AT + _RECORD.size : -len(_BOOT_MARK)]):
        raise FormatError("there is a partition next to the protective one")
    active, start_chs, kind, end_chs, start, size = _RECORD.unpack_from(sector, _RECORDS_AT)
    if (active, kind, start) != (0, _PROTECTIVE, 1) or start_chs != _FIRST_CHS:
        raise FormatError(
            f"partition of type {kind:#x} from sector {start}: expected {_PROTECTIVE:#x} from 1"
        )
    expected = min(disk_size // SECTOR - 1, _MAX_U32)
    if size != expected or end_chs not in {*_LAST_CHS, _chs(size)}:
        raise FormatError(f"the partition has {size} sectors: expected {expected}")


def _chs(sector: int) -> bytes:
    """Return the address of a sector on a disk of 255 heads and 63 sectors a track."""
    cylinder, rest = divmod(sector, 255 * 63)
    head, number = divmod(rest, 63)
    low = (number + 1) | (cylinder >> 8 & 3) << 6
    return bytes([head & 0xFF, low & 0xFF, cylinder & 0xFF])
