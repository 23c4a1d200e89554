# SPDX-License-Identifier: MIT
"""The header of a qcow2 disk image: which other files a virtual machine would open through it.

All numbers are big-endian.

Spec: QEMU docs/interop/qcow2.txt, sections "Header" and "Header extensions".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError

HEAD: Final = 65536
"""Bytes from the start of the file that hold the header: at most its first cluster."""

MAGIC: Final = b"QFI\xfb"
_VERSION: Final = 3
_FIXED: Final = struct.Struct(">4sIQIIQI36x3QII")
_EXTENSION: Final = struct.Struct(">II")
_END: Final = 0
_FORMAT: Final = 0xE2792ACA
_DATA_FILE: Final = 0x44415441
_DIRTY: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Qcow2Header:
    """The contents of an image's header.

    Attributes:
        backing: Name of the backing file, empty for none.
        backing_format: Format of the backing file, empty when QEMU would guess it.
        data_file: Whether the data is in another file.
        features: Incompatible features other than `dirty`, as a bit mask.
        encrypted: Whether QEMU would decrypt it.
    """

    backing: str
    backing_format: str
    data_file: bool
    features: int
    encrypted: bool


def parse(head: bytes) -> Qcow2Header:
    """Read the header.

    Args:
        head: The first `HEAD` bytes of the file, or all of it.

    Raises:
        FormatError: It is not a header of version 3, or something in it is outside of it.
    """
    if len(head) < _FIXED.size or not head.startswith(MAGIC):
        raise FormatError("it is not a qcow2 image")
    _, version, start, size, _, _, crypt, features, _, _, _, length = _FIXED.unpack_from(head)
    if version != _VERSION:
        raise FormatError(f"it is a qcow2 image of version {version}: expected {_VERSION}")
    if not _FIXED.size <= length <= len(head) or start + size > len(head):
        raise FormatError("the qcow2 header leaves its first cluster")
    extensions = _extensions(head, length, start or len(head))
    try:
        backing = head[start : start + size].decode() if start else ""
        backing_format = extensions.get(_FORMAT, b"").decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"the qcow2 header names a backing file that is not text: {error}") from (
            error
        )
    return Qcow2Header(
        backing=backing,
        backing_format=backing_format,
        data_file=_DATA_FILE in extensions,
        features=features & ~_DIRTY,
        encrypted=bool(crypt),
    )


def _extensions(head: bytes, start: int, end: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while start + _EXTENSION.size <= end:
        kind, size = _EXTENSION.unpack_from(head, start)
        start += _EXTENSION.size
        if kind == _END:
            break
        if start + size > end or kind in found:
            raise FormatError("an extension of the qcow2 header is there twice, or cut off")
        found[kind] = head[start : start + size]
        start += -(-size // 8) * 8
    return found
