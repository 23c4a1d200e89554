# SPDX-License-Identifier: MIT
"""Which bank of boot loaders the boot ROM tries first: one block of the slot state's partition.

Two little-endian u32, a magic number and the number of the bank, then zeros. The ROM takes anything
else for bank 0. The block is not signed: it chooses between two banks, each of which is verified.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.units import KIB, SECTOR

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer

PLACE: Final = 64 * KIB
"""Offset of the block in its partition."""
SIZE: Final = SECTOR
MAGIC: Final = 0x57465342
"""The text "BSFW"."""
BANKS: Final = 2
_BLOCK: Final = struct.Struct("<II")


def emit(bank: int) -> bytes:
    """Return the block that chooses a bank.

    >>> parse(emit(1))
    1
    """
    return _BLOCK.pack(MAGIC, bank).ljust(SIZE, b"\0")


def parse(block: Buffer) -> int:
    """Return the bank that a block selects; a block of zeros selects the first.

    Raises:
        FormatError: It is neither zeros nor what `emit` writes, so the ROM would ignore it or take
            less than all of it.
    """
    if not any(block):
        return 0
    magic, bank = _BLOCK.unpack_from(block)
    if magic != MAGIC or bank >= BANKS or bytes(block) != emit(bank):
        raise FormatError(
            f"the choice of the bank begins with {bytes(block[:16]).hex()}: expected zeros, or "
            f"{emit(0)[:8].hex()} or {emit(1)[:8].hex()} with zeros behind"
        )
    return int(bank)
