# SPDX-License-Identifier: MIT
"""Legacy uImages: a header of 64 bytes with two checksums, and a payload.

All integers are big-endian.

Spec: U-Boot include/image.h, struct legacy_img_hdr.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError

if TYPE_CHECKING:
    from bootseal.formats.fdt.scan import Buffer

MAGIC: Final = bytes.fromhex("27051956")
HEADER_SIZE: Final = 64

_HEADER: Final = struct.Struct(">7I4B32s")
_HEADER_CRC, _SIZE, _DATA_CRC, _COMPRESSION = 1, 3, 6, 10


def is_header(data: Buffer) -> bool:
    """Return whether `data` begins with the header of a uImage, and its checksum is right."""
    head = bytes(data[:HEADER_SIZE])
    if len(head) < HEADER_SIZE or not head.startswith(MAGIC):
        return False
    found = int.from_bytes(head[4:8])
    return zlib.crc32(head[:4] + bytes(4) + head[8:]) == found


def payload(data: Buffer) -> memoryview:
    """Return what a uImage holds, without a copy.

    Args:
        data: The file; bytes behind the image are ignored.

    Raises:
        FormatError: A checksum is wrong, or the payload is cut off or compressed.
    """
    if not is_header(data):
        raise FormatError("uImage: the checksum of the header is wrong")
    fields = _HEADER.unpack_from(data)
    size = fields[_SIZE]
    found = memoryview(data)[HEADER_SIZE : HEADER_SIZE + size]
    if len(found) != size:
        raise FormatError(f"uImage: {size} bytes of payload, but {len(found)} are there")
    if zlib.crc32(found) != fields[_DATA_CRC]:
        raise FormatError("uImage: the checksum of the payload is wrong")
    if fields[_COMPRESSION]:
        raise FormatError("uImage: the payload is compressed: expected one that is not")
    return found


def wrap(header: Buffer, content: bytes) -> bytes:
    """Return a uImage like that of `header`, with another payload.

    >>> image = wrap(MAGIC + bytes(60), b"U-Boot")
    >>> bytes(payload(image))
    b'U-Boot'
    """
    fields = list(_HEADER.unpack_from(header))
    fields[_HEADER_CRC], fields[_SIZE], fields[_DATA_CRC] = 0, len(content), zlib.crc32(content)
    fields[_HEADER_CRC] = zlib.crc32(_HEADER.pack(*fields))
    return _HEADER.pack(*fields) + content
