# SPDX-License-Identifier: MIT
"""The digests in the hash nodes of a FIT."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bootseal.formats.fdt import Buffer

STRONG: Final = frozenset({"sha256", "sha384", "sha512"})
WEAK: Final = frozenset({"sha1", "md5", "crc32"})


def digest(algorithm: str, payload: Buffer) -> bytes:
    """Return the digest of a payload as a hash node stores it, in big-endian byte order.

    Args:
        algorithm: A name out of `STRONG` or `WEAK`.
        payload: The bytes as stored, compressed or not; they are not copied.

    >>> digest("crc32", b"123456789").hex()
    'cbf43926'
    """
    if algorithm == "crc32":
        return zlib.crc32(payload).to_bytes(4)
    return hashlib.new(algorithm, payload, usedforsecurity=algorithm in STRONG).digest()
