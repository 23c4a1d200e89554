# SPDX-License-Identifier: MIT
"""Finds keys and certificates inside any file, whatever is around them.

Text forms are found by their first line. Binary ones have no marker, so what is searched for are
the bytes that every key of a kind has near its start; whatever they begin must then be a key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootseal.keys import published

if TYPE_CHECKING:
    import mmap

MAX_FOUND: Final = 1000
"""Keys reported of one file; a trust store has some hundreds of certificates."""

_MAX_TRIES: Final = 20_000
"""Places in one file that are looked at for a binary key, so that no file takes forever."""

_PEM: Final = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{0,32}(?:PRIVATE KEY|PUBLIC KEY|CERTIFICATE))-----"
    rb"([A-Za-z0-9+/=\r\n:,\- ]{40,65536}?)-----END \1-----"
)
_RSA: Final = bytes.fromhex("06092a864886f70d010101")
_EC: Final = bytes.fromhex("06072a8648ce3d0201")
_ED25519: Final = bytes.fromhex("06032b6570")
# Bytes that each form of key has, and how far from its start they can be.
_NEEDLES: Final = (
    (_RSA, 12),
    (_EC, 12),
    (_ED25519, 10),
    # PKCS#1: version 0, then a modulus of 2048 bits or more.
    (bytes.fromhex("0201000282"), 4),
    # SEC 1: version 1, then a private number of 32, 48 or 66 bytes.
    (bytes.fromhex("0201010420"), 3),
    (bytes.fromhex("0201010430"), 3),
    (bytes.fromhex("0201010442"), 4),
)
_SEQUENCE: Final = 0x30
_MAX_DER: Final = 65536
_FAILURES: Final = (ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key in a file.

    Attributes:
        offset: Bytes from the start of the file.
        private: Whether the private half is there.
        form: How it is written, for example `PEM PRIVATE KEY` or `DER`.
        fingerprint: SHA-256 of the SubjectPublicKeyInfo, lower-case hex; empty for a private key
            that is encrypted or of an unknown kind.
        digest: SHA-256 of its own DER form.
    """

    offset: int
    private: bool
    form: str
    fingerprint: str
    digest: str

    @property
    def origin(self) -> str:
        """Where its private half was published, empty when it is not known to be."""
        return published.origin(self.fingerprint) or published.origin(self.digest)


def find(data: mmap.mmap | bytes) -> Iterator[FoundKey]:
    """Yield the keys and certificates in a file, up to `MAX_FOUND`."""
    count = 0
    for source in (_text_keys, _binary_keys):
        for found in source(data):
            yield found
            count += 1
            if count == MAX_FOUND:
                return


def _text_keys(data: mmap.mmap | bytes) -> Iterator[FoundKey]:
    # Looking for the fixed text first is many times quicker than the expression alone.
    at = data.find(b"-----BEGIN ")
    while at >= 0:
        match = _PEM.match(data, at)
        if match is not None:
            yield from _text_key(match)
        at = data.find(b"-----BEGIN ", match.end() if match else at + 1)


def _text_key(match: re.Match[bytes]) -> Iterator[FoundKey]:
    label = match[1].decode()
    form = f"PEM {label}"
    try:
        der = base64.b64decode(match[2].translate(None, b"\r\n "), validate=True)
    except binascii.Error:
        der = match[2]
    if "PRIVATE" in label:
        yield FoundKey(
            offset=match.start(),
            private=True,
            form=form,
            fingerprint=_private(match[0]) or _private(der),
            digest=hashlib.sha256(der).hexdigest(),
        )
        return
    for found in _binary_keys(der):
        yield replace(found, offset=match.start(), form=form)


def _binary_keys(data: mmap.mmap | bytes) -> Iterator[FoundKey]:
    # A private key in PKCS#8 form holds another form of itself.
    seen: list[range] = []
    for needle, distance in _NEEDLES:
        at, tries = data.find(needle), 0
        while at >= 0 and tries < _MAX_TRIES:
            tries += 1
            for start in range(max(0, at - distance), at - 1):
                if data[start] != _SEQUENCE or any(start in other for other in seen):
                    continue
                size = _der_size(data, start)
                found = None if size is None else _binary_key(data[start : start + size], start)
                if size is not None and found is not None:
                    seen.append(range(start, start + size))
                    yield found
                    break
            at = data.find(needle, at + len(needle))


def _binary_key(der: bytes, start: int) -> FoundKey | None:
    digest = hashlib.sha256(der).hexdigest()
    try:
        serialization.load_der_public_key(der)
    except _FAILURES:
        fingerprint = _private(der)
        if not fingerprint:
            return None
        return FoundKey(
            offset=start, private=True, form="DER", fingerprint=fingerprint, digest=digest
        )
    return FoundKey(offset=start, private=False, form="DER", fingerprint=digest, digest=digest)


def _der_size(data: mmap.mmap | bytes, start: int) -> int | None:
    """Return the size of the DER value at `start`, None when it cannot be a key."""
    header = data[start : start + 4]
    if len(header) < 4:  # noqa: PLR2004 - tag and length
        return None
    size = {0x81: 3 + header[2], 0x82: 4 + int.from_bytes(header[2:4])}.get(
        header[1], 2 + header[1]
    )
    if header[1] > 0x82 or size > _MAX_DER or start + size > len(data):  # noqa: PLR2004
        return None
    return size


def _private(raw: bytes) -> str:
    """Return the fingerprint of a private key, empty when it is none that can be read."""
    loaders = (
        serialization.load_pem_private_key,
        serialization.load_ssh_private_key,
        serialization.load_der_private_key,
    )
    for load in loaders if raw.startswith(b"-----") else loaders[2:]:
        try:
            # Nothing is signed with it, and proving that its primes are prime takes long.
            public = load(raw, None, unsafe_skip_rsa_key_validation=True).public_key()
            der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except _FAILURES:
            continue
        return hashlib.sha256(der).hexdigest()
    return ""
