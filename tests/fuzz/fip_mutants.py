# SPDX-License-Identifier: MIT
"""Changes a signed FIP at random: bits, fields of the table, images, certificates, releases.

A mutant depends on the FIPs, the seed and this file only.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Final

from bootseal.formats import fip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

_HEADER: Final = 16
_ENTRY: Final = 40
_NUMBERS: Final = (0, 1, 0x3FFFFF, 0x400000, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def mutant(releases: Sequence[bytes], seed: int) -> tuple[str, bytes]:
    """Return the kind of a change and a changed FIP.

    Args:
        releases: Signed FIPs: the first is changed, and parts of the others go into it.
        seed: Which mutant.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    kind = rng.choice(list(_KINDS))
    return kind, _KINDS[kind](releases, rng)


def _images(data: bytes) -> dict[str, bytes]:
    return {each.name: data[each.offset : each.end] for each in fip.parse(data).entries}


def _bit(releases: Sequence[bytes], rng: Random) -> bytes:
    changed = bytearray(releases[0])
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _table_bit(releases: Sequence[bytes], rng: Random) -> bytes:
    changed = bytearray(releases[0])
    changed[rng.randrange(_HEADER + 10 * _ENTRY)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _number(releases: Sequence[bytes], rng: Random) -> bytes:
    changed = bytearray(releases[0])
    place = _HEADER + rng.randrange(10) * _ENTRY + rng.choice((16, 24, 32))
    (value,) = struct.unpack_from("<Q", changed, place)
    new = rng.choice((*_NUMBERS, value + 1, value - 1)) % 2**64
    struct.pack_into("<Q", changed, place, new)
    return bytes(changed)


def _cut(releases: Sequence[bytes], rng: Random) -> bytes:
    return releases[0][: rng.randrange(len(releases[0]))]


def _tail(releases: Sequence[bytes], rng: Random) -> bytes:
    return releases[0] + rng.randbytes(rng.randrange(1, 64))


def _mixed(releases: Sequence[bytes], rng: Random) -> bytes:
    images = [_images(each) for each in releases]
    return fip.emit({name: rng.choice(images)[name] for name in images[0]}, alignment=1)


def _swapped(releases: Sequence[bytes], rng: Random) -> bytes:
    images = _images(releases[0])
    one, other = rng.sample(sorted(images), 2)
    return fip.emit(images | {one: images[other], other: images[one]}, alignment=1)


def _without(releases: Sequence[bytes], rng: Random) -> bytes:
    images = _images(releases[0])
    del images[rng.choice(sorted(images))]
    return fip.emit(images, alignment=1)


def _certificate(releases: Sequence[bytes], rng: Random) -> bytes:
    """Change some bytes of one certificate, its length included."""
    images = _images(releases[0])
    name = rng.choice([each for each in images if each.endswith("-cert")])
    changed = bytearray(images[name])
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(changed))
        changed[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return fip.emit(images | {name: bytes(changed) or b"\0"}, alignment=1)


def _same(releases: Sequence[bytes], rng: Random) -> bytes:
    return rng.choice(releases)


_KINDS: Final[dict[str, Callable[[Sequence[bytes], Random], bytes]]] = {
    "bit": _bit,
    "table bit": _table_bit,
    "number": _number,
    "cut": _cut,
    "tail": _tail,
    "mixed": _mixed,
    "swapped": _swapped,
    "without": _without,
    "certificate": _certificate,
    "same": _same,
}
