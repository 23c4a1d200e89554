# SPDX-License-Identifier: MIT
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats import mbr
from bootseal.formats.mbr import MbrPartition
from bootseal.units import SECTOR


def table(*records: tuple[int, int, int, int]) -> bytes:
    """Return a sector with records of status, type, first sector and number of sectors."""
    raw = b"".join(struct.pack("<B3xB3xII", *record) for record in records)
    return bytes(446) + raw.ljust(64, b"\0") + b"\x55\xaa"


def read(disk: bytes) -> tuple[MbrPartition, ...]:
    return mbr.read(lambda offset, size: disk[offset : offset + size])


def partition(
    number: int, kind: int, start: int, count: int, *, active: bool = False
) -> MbrPartition:
    return MbrPartition(
        number=number, type=kind, active=active, offset=start * SECTOR, size=count * SECTOR
    )


def chain(last: tuple[int, int, int, int] = (0, 0, 0, 0)) -> bytes:
    """Return a disk with a primary partition and an extended one with two logical ones."""
    disk = bytearray(64 * SECTOR)
    sectors = {
        0: table((0x80, 0x0C, 1, 4), (0, 0x05, 10, 50)),
        10: table((0, 0x83, 1, 5), (0, 0x05, 20, 30)),
        30: table((0, 0x82, 2, 3), last),
    }
    for place, data in sectors.items():
        disk[place * SECTOR : (place + 1) * SECTOR] = data
    return bytes(disk)


def test_primary_and_logical_partitions_are_read() -> None:
    assert read(chain()) == (
        partition(1, 0x0C, 1, 4, active=True),
        partition(2, 0x05, 10, 50),
        partition(5, 0x83, 11, 5),
        partition(6, 0x82, 32, 3),
    )


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        (bytes(SECTOR), "the first sector ends with 0000"),
        (b"", "the first sector ends with"),
        (table((7, 0x83, 1, 1)), "the status of partition 1 is 0x07"),
        (chain((0, 0x05, 0, 30)), "does not end"),
        (chain((0, 0x05, 20, 30)), "does not end"),
        (chain((0, 0x05, 50, 30)), "does not end"),
        (chain((0, 0x05, 40, 30)), "the table at 0x6400 ends with 0000"),
    ],
    ids=["zeros", "empty", "status", "back", "itself", "outside", "no table"],
)
def test_damaged_table_is_refused(disk: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read(disk)


@given(st.binary(min_size=64, max_size=64))
def test_any_records_are_read_or_refused(records: bytes) -> None:
    try:
        read(bytes(446) + records + b"\x55\xaa" + chain()[SECTOR:])
    except FormatError:
        return
