# SPDX-License-Identifier: MIT
"""U-Boot's environment block: a CRC-32 (u32, little-endian as on arm64) and `name=value` strings.

Each string ends with a NUL, the last is followed by one more, and NULs fill the block.

Spec: U-Boot include/env_internal.h, struct environment_s without redundancy.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final

from bootseal.errors import FormatError, UsageError
from bootseal.units import KIB

ENVIRONMENT_SIZE: Final = 16 * KIB
_CRC: Final = 4


def parse_environment(block: bytes) -> dict[str, str]:
    """Read a block.

    Raises:
        FormatError: The checksum does not fit, a string is not a variable or comes twice, or there
            is something behind the last.
    """
    stored = int.from_bytes(block[:_CRC], "little")
    found = zlib.crc32(block[_CRC:])
    if len(block) <= _CRC or found != stored:
        raise FormatError(f"its CRC is {found:#010x}: it says {stored:#010x}")
    text, _, rest = block[_CRC:].partition(b"\0\0")
    if rest.strip(b"\0"):
        raise FormatError("there is something behind the last variable")
    variables: dict[str, str] = {}
    for line in text.split(b"\0") if text.strip(b"\0") else []:
        name, equals, value = line.decode("latin-1").partition("=")
        if not equals or not name or name in variables:
            raise FormatError(f"{line[:40]!r} is not a variable, or comes twice")
        variables[name] = value
    return variables


def emit_environment(variables: Mapping[str, str], *, size: int = ENVIRONMENT_SIZE) -> bytes:
    """Build a U-Boot environment block with a valid checksum.

    Raises:
        UsageError: The variables do not fit.
    """
    text = b"".join(f"{name}={value}".encode() + b"\0" for name, value in variables.items()) + b"\0"
    if len(text) > size - 4:
        raise UsageError(f"{len(text)} bytes of variables do not fit a block of {size} bytes")
    body = text.ljust(size - 4, b"\0")
    return struct.pack("<I", zlib.crc32(body)) + body
