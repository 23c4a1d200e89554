# SPDX-License-Identifier: MIT
"""The digests in the hash nodes of a FIT, and whatever else depends on a whole payload."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import os
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer
    from bootseal.formats.fit.model import Image

STRONG: Final = frozenset({"sha256", "sha384", "sha512"})
WEAK: Final = frozenset({"sha1", "md5", "crc32"})

_STEP: Final = MIB
_EXPANDED: Final = "expanded"


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


class PayloadCache:
    """Cached facts about the payloads of one file, each computed once."""

    def __init__(self, known: dict[tuple[int, int, str], bytes] | None = None) -> None:
        self._known = {} if known is None else known

    def compute(self, wanted: Iterable[tuple[Image, str]]) -> None:
        """Compute digests side by side; pairs of image and algorithm."""
        missing = {
            key: image.payload
            for image, algorithm in wanted
            if algorithm in STRONG | WEAK and (key := _key(image, algorithm)) not in self._known
        }
        largest = sorted(missing, key=lambda key: len(missing[key]), reverse=True)
        if sum(map(len, missing.values())) < MIB:
            results = [digest(key[2], missing[key]) for key in largest]
        else:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to load

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                results = list(pool.map(lambda key: digest(key[2], missing[key]), largest))
        self._known.update(zip(largest, results, strict=True))

    def digest(self, image: Image, algorithm: str) -> bytes:
        """Return the digest of an image's payload."""
        self.compute([(image, algorithm)])
        return self._known[_key(image, algorithm)]

    def expanded(self, image: Image, limit: int) -> int:
        """Return the size of the payload when decompressed, at most a little over `limit`.

        0 means that it is not compressed, or cannot be decompressed here.
        """
        key = _key(image, f"{_EXPANDED} {image.compression}")
        if key not in self._known:
            size = _expanded(image.compression, image.payload, limit)
            self._known[key] = size.to_bytes(8)
        return int.from_bytes(self._known[key])

    def moved(self, pairs: Iterable[tuple[Image, Image]]) -> PayloadCache:
        """Return what is known of the first image of each pair as cache about the second."""
        places = {
            (old.offset, len(old.payload)): (new.offset, len(new.payload)) for old, new in pairs
        }
        return PayloadCache(
            {
                (*places[offset, size], name): value
                for (offset, size, name), value in self._known.items()
                if places.get((offset, size), (0, -1))[1] == size
            }
        )

    def without(self, offsets: Iterable[int], *, digests_only: bool = False) -> PayloadCache:
        """Return a copy that forgets what depends on any of these bytes of the file.

        Args:
            offsets: The bytes that change.
            digests_only: Keep how large a payload expands to, which is slow to find out and can
                only ever be one more reason to refuse.
        """
        changed = tuple(offsets)
        return PayloadCache(
            {
                key: value
                for key, value in self._known.items()
                if (digests_only and key[2].startswith(_EXPANDED))
                or not any(key[0] <= offset < key[0] + key[1] for offset in changed)
            }
        )


def _key(image: Image, name: str) -> tuple[int, int, str]:
    return image.offset, len(image.payload), name


def _expanded(compression: str, payload: Buffer, limit: int) -> int:
    size = position = 0
    try:
        match compression:
            case "gzip":
                return _gunzipped(payload, limit)
            case "bzip2":
                stream: bz2.BZ2Decompressor | lzma.LZMADecompressor = bz2.BZ2Decompressor()
            case "lzma":
                stream = lzma.LZMADecompressor()
            case _:
                return 0
        while not stream.eof and size <= limit:
            more = payload[position : position + _STEP] if stream.needs_input else b""
            if stream.needs_input and not more:
                break
            position += len(more)
            size += len(stream.decompress(more, _STEP))
    except (OSError, lzma.LZMAError, zlib.error):
        return 0
    return size


def _gunzipped(payload: Buffer, limit: int) -> int:
    stream, size, position = zlib.decompressobj(16 + zlib.MAX_WBITS), 0, 0
    while not stream.eof and size <= limit:
        more = stream.unconsumed_tail
        if not more:
            more = bytes(payload[position : position + _STEP])
            position += len(more)
            if not more:
                break
        size += len(stream.decompress(more, _STEP))
    return size
