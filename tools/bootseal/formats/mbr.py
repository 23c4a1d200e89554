# SPDX-License-Identifier: MIT
"""MBR (DOS) partition tables: named and shown, never booted from.

Four records of 16 bytes at offset 446: status u8, first CHS 3 bytes, type u8, last CHS 3 bytes,
first sector and number of sectors as u32, little-endian; then 55 AA. An extended partition holds a
chain of such tables: the first record of each is a logical partition, relative to its own table,
the second leads to the next one, relative to the extended partition.

Spec: UEFI 2.10, section 5.2.1; the chain as Linux follows it, block/partitions/msdos.c.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_LOGICAL: Final = 256
"""How many logical partitions are followed."""

_RECORDS_AT: Final = 446
_RECORD: Final = struct.Struct("<B3sB3sII")
_MARK: Final = b"\x55\xaa"
_EXTENDED: Final = frozenset({0x05, 0x0F, 0x85})
_STATUS: Final = frozenset({0x00, 0x80})
_FIRST_LOGICAL: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MbrPartition:
    """A partition of an MBR.

    Attributes:
        number: As Linux counts: 1 to 4, logical ones from 5 on.
        type: The type, 0x00 to 0xff.
        active: Whether it is marked as the one to boot.
        offset: Bytes from the start of the disk.
        size: Bytes.
    """

    number: int
    type: int
    active: bool
    offset: int
    size: int


def read(read_at: Callable[[int, int], bytes]) -> tuple[MbrPartition, ...]:
    """Read the table of a disk, with its logical partitions.

    Args:
        read_at: Reads from the disk: offset and size to bytes.

    Raises:
        FormatError: There is no such table, or the chain of logical partitions is damaged.
    """
    found = [one for one in _table(read_at(0, SECTOR), 0, "the first sector") if one.size]
    logical: list[MbrPartition] = []
    for extended in (one for one in found if one.type in _EXTENDED):
        logical += _logical(read_at, extended, _FIRST_LOGICAL + len(logical))
    return (*found, *logical)


def _logical(
    read_at: Callable[[int, int], bytes], extended: MbrPartition, number: int
) -> Iterator[MbrPartition]:
    place, seen = extended.offset, set[int]()
    while True:
        if place in seen or len(seen) == MAX_LOGICAL or place >= extended.offset + extended.size:
            raise FormatError(f"the chain of logical partitions does not end: {place:#x}")
        seen.add(place)
        here, following, *_ = _table(read_at(place, SECTOR), place, f"the table at {place:#x}")
        if here.size:
            yield MbrPartition(
                number=number,
                type=here.type,
                active=here.active,
                offset=here.offset,
                size=here.size,
            )
            number += 1
        if following.type not in _EXTENDED:
            return
        place = extended.offset + following.offset - place


def _table(sector: bytes, place: int, what: str) -> Iterator[MbrPartition]:
    """Yield the four records, empty ones too; places are relative to the table's own."""
    if len(sector) != SECTOR or not sector.endswith(_MARK):
        raise FormatError(f"{what} ends with {sector[-2:].hex()}: expected 55aa")
    for index in range(4):
        raw = _RECORD.unpack_from(sector, _RECORDS_AT + index * _RECORD.size)
        status, _, kind, _, start, count = raw
        if status not in _STATUS:
            raise FormatError(f"{what}: the status of partition {index + 1} is {status:#04x}")
        yield MbrPartition(
            number=index + 1,
            type=kind,
            active=bool(status),
            offset=place + start * SECTOR,
            size=count * SECTOR if kind else 0,
        )
