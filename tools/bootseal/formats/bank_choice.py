# SPDX-License-Identifier: MIT
"""Which bank of boot loaders the boot ROM tries first: one block of the slot state's partition.

A magic number, the number of the bank, how far a trial is and how often it has failed, as
little-endian u32. From byte 32 on, the SHA-256 of banks that are not tried again, the last one
first; zeros for none, and in between. The ROM reads the first two, and takes anything else for bank
0; the rest is the device's. The block is not signed: it chooses between two banks, each of which is
verified.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.errors import FormatError
from bootseal.units import KIB, SECTOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.formats.fdt.model import Buffer

PLACE: Final = 64 * KIB
"""Offset of the block in its partition."""
SIZE: Final = SECTOR
MAGIC: Final = 0x57465342
"""The text "BSFW"."""
BANKS: Final = 2
TRIES: Final = 3
_BLOCK: Final = struct.Struct("<IIII16x")
_DIGEST: Final = 32


class Phase(IntEnum):
    """How far a trial of boot loaders is."""

    SETTLED = 0
    NEXT = 1
    """The bank that is chosen is tried at the next start."""
    RUNS = 2
    """The other one is tried; unless that is found good, the chosen one starts again."""


class Choice(NamedTuple):
    """What a block says.

    Attributes:
        bank: The bank that the ROM tries first.
        phase: How far a trial is.
        failed: How often what is tried was not found good, less than `TRIES`.
        left: SHA-256 of whole banks that are not tried again, the last one left behind first.
    """

    bank: int
    phase: Phase = Phase.SETTLED
    failed: int = 0
    left: tuple[bytes, ...] = ()


def emit(
    bank: int, phase: Phase = Phase.SETTLED, failed: int = 0, left: tuple[bytes, ...] = ()
) -> bytes:
    """Return the block that chooses a bank.

    >>> parse(emit(1)).bank
    1
    """
    return (_BLOCK.pack(MAGIC, bank, phase, failed) + b"".join(left)).ljust(SIZE, b"\0")


def parse(block: Buffer) -> Choice:
    """Return what a block says; a block of zeros selects the first bank.

    Raises:
        FormatError: It is neither zeros nor what `emit` writes, so the ROM would ignore it or take
            less than all of it.
    """
    if not any(block):
        return Choice(bank=0)
    magic, bank, phase, failed = _BLOCK.unpack_from(block)
    if magic == MAGIC and bank < BANKS and phase in list(Phase) and failed < TRIES:
        left = tuple(_digests(bytes(block)))
        if bytes(block) == emit(bank, phase, failed, left):
            return Choice(bank=int(bank), phase=Phase(phase), failed=int(failed), left=left)
    raise FormatError(
        f"the choice of the bank begins with {bytes(block[:16]).hex()}: expected zeros, or "
        f"{emit(0)[:8].hex()} or {emit(1)[:8].hex()} with what the device writes behind"
    )


def _digests(block: bytes) -> Iterator[bytes]:
    for start in range(_BLOCK.size, SIZE, _DIGEST):
        digest = block[start : start + _DIGEST]
        if not any(digest):
            return
        yield digest
