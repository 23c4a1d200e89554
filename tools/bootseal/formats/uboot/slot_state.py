# SPDX-License-Identifier: MIT
"""The slot state in its partition: two copies of one environment block.

The first copy counts if its checksum holds, else the second, if the partition has room for it. What
changes the state writes the copy that counts last, so that a write cut short leaves one of them
whole. The boot logic (`bootseal.env`) and the device's scripts (`slot-state`) have the same rule.
Boot loaders and releases that know one copy only use the first.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

from bootseal.formats.uboot.environment import ENVIRONMENT_SIZE, emit_environment
from bootseal.units import KIB

SIZE: Final = ENVIRONMENT_SIZE
"""Bytes of a copy."""
_PLACES: Final = (0, 512 * KIB)
_CRC: Final = 4


def places(size: int) -> tuple[int, ...]:
    """Return the offsets of the copies in a partition of `size` bytes.

    The first is always there: who finds the partition too small for it says so.
    """
    return tuple(place for place in _PLACES if not place or place + SIZE <= size)


def emit(variables: Mapping[str, str], size: int) -> bytes:
    """Build what a partition of `size` bytes begins with: the copies, and zeros between them."""
    block, found = emit_environment(variables), places(size)
    image = bytearray(found[-1] + SIZE)
    for place in found:
        image[place : place + SIZE] = block
    return bytes(image)


def counts(copies: Sequence[bytes]) -> int | None:
    """Return the index of the copy that U-Boot reads; None if it takes its defaults."""
    return next((index for index, block in enumerate(copies) if _holds(block)), None)


def _holds(block: bytes) -> bool:
    return len(block) > _CRC and zlib.crc32(block[_CRC:]) == int.from_bytes(block[:_CRC], "little")
