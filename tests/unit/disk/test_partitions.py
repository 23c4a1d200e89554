# SPDX-License-Identifier: MIT
"""The primary partition table alone: read strictly, never replaced by the backup."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.check import conftest as made

from bootseal.disk import partitions
from bootseal.errors import FormatError

if TYPE_CHECKING:
    from bootseal.formats.gpt import GptEntry

SIZE = 64 << 20


def primary(image: bytearray) -> dict[str, GptEntry]:
    def read(offset: int, size: int) -> bytes:
        return bytes(image[offset : offset + size])

    return partitions.primary(read, len(image))


def test_partitions_are_found_by_name() -> None:
    image, declared = bytearray(SIZE), made.declared()
    made.write_tables(image, declared)

    found = primary(image)

    assert list(found) == [each.name for each in declared]
    assert found["boot-a"].offset == declared[1].offset == 2 << 20


@pytest.mark.parametrize("place", [512, 512 + 16, 512 + 72, 1024, 1024 + 56])
def test_damaged_table_is_refused_although_the_backup_is_whole(place: int) -> None:
    image = bytearray(SIZE)
    made.write_tables(image, made.declared())
    image[place] ^= 1

    with pytest.raises(FormatError, match="the primary GPT: "):
        primary(image)


def test_two_partitions_of_one_name_are_refused() -> None:
    image, (first, *_) = bytearray(SIZE), made.declared()
    made.write_tables(image, [first, replace(first, number=2, offset=first.end)])

    with pytest.raises(FormatError, match="two partitions the same name"):
        primary(image)
