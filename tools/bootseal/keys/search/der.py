# SPDX-License-Identifier: MIT
"""Finds keys in DER form: they have no marker, only bytes that every key of a kind begins with.

Whatever those bytes begin must then be a key: one that can be read, or for private keys that are
encrypted, sealed by a TPM or of an unknown kind, a structure that is right to its last byte.

Spec: ITU-T X.690; RFC 5208, 5280, 5915, 5958, 8017, 8018, 8410, 9881; TPM 2.0 key files (TSS2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization

from bootseal.keys.search.found import FAILURES, FoundKey, private_key, private_spki

if TYPE_CHECKING:
    import mmap

_MAX_TRIES: Final = 20_000
"""Places in one file that are looked at for a binary key, so that no file takes forever."""

_MAX_DER: Final = 65536
_SEQUENCE, _INTEGER, _OCTETS, _OID = 0x30, 0x02, 0x04, 0x06
_LONG: Final = 0x80
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBES1: Final = bytes.fromhex("06092a864886f70d0105")
_PKCS12: Final = bytes.fromhex("060a2a864886f70d010c01")
_JKS: Final = bytes.fromhex("060a2b060104012a02110101")
_TSS2: Final = bytes.fromhex("06066781050a0103")

# Bytes that each form of key has, and how far from its start they can be.
_NEEDLES: Final = (
    # Algorithms: RSA, RSA-PSS, elliptic curves, X25519, X448, Ed25519, Ed448, DSA, DH, ML-DSA.
    (bytes.fromhex("06092a864886f70d010101"), 12),
    (bytes.fromhex("06092a864886f70d01010a"), 12),
    (bytes.fromhex("06072a8648ce3d0201"), 12),
    (bytes.fromhex("06032b656e"), 10),
    (bytes.fromhex("06032b656f"), 10),
    (bytes.fromhex("06032b6570"), 10),
    (bytes.fromhex("06032b6571"), 10),
    (bytes.fromhex("06072a8648ce380401"), 12),
    (bytes.fromhex("06092a864886f70d010301"), 12),
    (bytes.fromhex("06096086480165030403"), 12),
    # PKCS#8 with any other algorithm: version 0, then a sequence.
    (bytes.fromhex("02010030"), 4),
    # PKCS#1: version 0, then a modulus of 512, 768, up to 2040, or more bits.
    (bytes.fromhex("020100024100"), 4),
    (bytes.fromhex("020100026100"), 4),
    (bytes.fromhex("0201000281"), 4),
    (bytes.fromhex("0201000282"), 4),
    # SEC 1: version 1, then a private number of 24, 28, 32, 48 or 66 bytes.
    (bytes.fromhex("0201010418"), 3),
    (bytes.fromhex("020101041c"), 3),
    (bytes.fromhex("0201010420"), 3),
    (bytes.fromhex("0201010430"), 3),
    (bytes.fromhex("0201010442"), 4),
    # Encrypted: PKCS#8, as it is and in PKCS#12 and Java key stores; and sealed by a TPM.
    (_PBES2, 8),
    (_PBES1 + b"\x03", 8),
    (_PBES1 + b"\x0a", 8),
    (_PKCS12, 8),
    (_JKS, 8),
    (_TSS2, 4),
)


def binary_keys(data: mmap.mmap | bytes) -> Iterator[FoundKey]:
    """Yield the keys in DER form."""
    # A private key in PKCS#8 form holds another form of itself.
    seen: list[range] = []
    for needle, distance in _NEEDLES:
        at, tries = data.find(needle), 0
        while at >= 0 and tries < _MAX_TRIES:
            tries += 1
            for start in range(max(0, at - distance), at - 1):
                if data[start] != _SEQUENCE or any(start in other for other in seen):
                    continue
                size = _size(data, start)
                found = None if size is None else _key(data[start : start + size], start)
                if size is not None and found is not None:
                    seen.append(range(start, start + size))
                    yield found
                    break
            at = data.find(needle, at + len(needle))


def first_key(der: bytes) -> FoundKey | None:
    """Return the key in DER form that some bytes begin with, whatever follows it."""
    size = _size(der, 0) if der[:1] == bytes([_SEQUENCE]) else None
    return None if size is None else _key(der[:size], 0)


def _key(der: bytes, start: int) -> FoundKey | None:
    try:
        serialization.load_der_public_key(der)
    except FAILURES:
        spki = private_spki(der)
        form = "DER" if spki else _unread(der)
        return private_key(start, form, der, spki) if form else None
    return FoundKey(
        offset=start,
        private=False,
        form="DER",
        spki=der,
        digest=hashlib.sha256(der).hexdigest(),
    )


def _unread(der: bytes) -> str:
    """Say which form of private key this is that cannot be read; empty when it is none."""
    outer = _elements(der)
    if len(outer) != 1:
        return ""
    parts = _elements(outer[0][1])
    tags = [tag for tag, _ in parts]
    if tags[:3] == [_INTEGER, _SEQUENCE, _OCTETS] and parts[0][1] in {b"\0", b"\1"}:
        algorithm = _elements(parts[1][1])
        return "DER, of an unknown kind" if algorithm and algorithm[0][0] == _OID else ""
    if tags == [_SEQUENCE, _OCTETS] and len(parts[1][1]) >= _SHORTEST:
        name = parts[0][1]
        if name.startswith((_PBES2, _PBES1, _PKCS12, _JKS)):
            return "DER, encrypted"
    if tags[:1] == [_OID] and outer[0][1].startswith(_TSS2) and tags[-2:] == [_OCTETS, _OCTETS]:
        return "DER, sealed by a TPM"
    return ""


_SHORTEST: Final = 16
"""Bytes of the shortest encrypted key, a block of a cipher."""


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Return tags and contents of the values that fill some bytes; empty when none do exactly."""
    found = []
    at = 0
    while at < len(der):
        size = _size(der, at)
        if size is None:
            return []
        head = 2 if der[at + 1] < _LONG else 2 + der[at + 1] - _LONG
        found.append((der[at], der[at + head : at + size]))
        at += size
    return found


def _size(data: mmap.mmap | bytes, start: int) -> int | None:
    """Return the size of the DER value at `start`, None when it cannot be part of a key."""
    header = data[start : start + 4]
    if len(header) < 2:  # noqa: PLR2004 - tag and length
        return None
    if header[1] < _LONG:
        size = 2 + header[1]
    elif header[1] in {0x81, 0x82} and len(header) == 4:  # noqa: PLR2004 - tag and length
        count = header[1] - _LONG
        size = 2 + count + int.from_bytes(header[2 : 2 + count])
    else:
        return None
    return None if size > _MAX_DER or start + size > len(data) else size
