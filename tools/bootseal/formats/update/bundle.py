# SPDX-License-Identifier: MIT
"""The file of an update bundle, as RAUC reads it.

A file system (squashfs), padded to 4096 bytes; its hash tree, without a superblock; a CMS message;
and the size of that in the last 8 bytes, big-endian.

Spec: RAUC's reference manual, "Bundle Formats"; RAUC src/bundle.c, open_local_bundle().
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.formats.verity import BLOCK
from bootseal.units import KIB

if TYPE_CHECKING:
    from bootseal.formats.fdt.scan import Buffer

MAX_SIGNATURE: Final = 64 * KIB
"""Bytes of the CMS message that RAUC reads by default."""
_LENGTH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The parts of a bundle.

    Attributes:
        payload: Bytes of the file system and its hash tree, a multiple of 4096.
        message: The CMS message.
    """

    payload: int
    message: bytes


def parse(data: Buffer) -> Bundle:
    """Find the parts of a bundle.

    Args:
        data: The whole file, at best a map of it.

    Raises:
        FormatError: It is not a bundle, or not the whole of one.
    """
    view = memoryview(data)
    if len(view) < BLOCK + _LENGTH:
        raise FormatError(f"{len(view)} bytes are too few for an update bundle")
    size = int.from_bytes(view[-_LENGTH:])
    if not 0 < size <= MAX_SIGNATURE:
        raise FormatError(
            f"its last {_LENGTH} bytes give the signature {size} bytes: expected 1 to "
            f"{MAX_SIGNATURE}; it is not an update bundle, or not the whole of one"
        )
    payload = len(view) - _LENGTH - size
    if payload <= 0 or payload % BLOCK:
        raise FormatError(
            f"a signature of {size} bytes leaves {payload} bytes: expected a multiple of {BLOCK}"
        )
    return Bundle(payload=payload, message=bytes(view[payload:-_LENGTH]))


def trailer(message: bytes) -> bytes:
    """Return what follows the payload.

    Raises:
        FormatError: The message is larger than RAUC reads.
    """
    if not 0 < len(message) <= MAX_SIGNATURE:
        raise FormatError(f"a signature of {len(message)} bytes: expected 1 to {MAX_SIGNATURE}")
    return message + len(message).to_bytes(_LENGTH)
