# SPDX-License-Identifier: MIT
"""Sizes in bytes: how people write them and how we print them."""

from __future__ import annotations

import re
from typing import Final

from bootseal.errors import UsageError

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
SECTOR: Final = 512

_SUFFIXES: Final = {"": 1, "K": KIB, "M": MIB, "G": GIB}
_SIZE: Final = re.compile(r"(?:0x([0-9a-fA-F]{1,16})|([0-9]{1,20}))\s*([KMG]?)(?:i?B)?")


def parse_size(text: str) -> int:
    """Read a size such as `16MiB`, `512K`, `4096` or `0x1000` as bytes.

    Suffixes are powers of 1024, as in wks files and systemd's repart.d.

    Raises:
        UsageError: The text is not a size.

    >>> parse_size("16MiB")
    16777216
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"size {text[:80]!r} is not understood: expected a number with an optional K, M or G"
        )
    number = int(match[1], 16) if match[1] else int(match[2])
    return number * _SUFFIXES[match[3]]


def format_size(size: int) -> str:
    """Print a size in the largest binary unit that keeps it short.

    >>> format_size(16777216)
    '16.0 MiB'
    """
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def align_up(value: int, alignment: int) -> int:
    """Round `value` up to a multiple of `alignment`.

    >>> align_up(513, 512)
    1024
    """
    return -(-value // alignment) * alignment
