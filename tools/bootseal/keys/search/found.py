# SPDX-License-Identifier: MIT
"""What a search finds, and the public half of any private key that can be read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootseal.keys import published

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

FAILURES: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What `cryptography` raises for bytes that are not a key, or one that it cannot read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key in a file.

    Attributes:
        offset: Bytes from the start of the file.
        private: Whether the private half is there.
        form: How it is written, for example `PEM PRIVATE KEY` or `DER`.
        spki: Its SubjectPublicKeyInfo, DER; empty for a private key that is encrypted or of an
            unknown kind.
        digest: SHA-256 of its own DER form.
        certificate: The certificate that it is the key of, DER; empty for any other key, and for
            one in a certificate that is not in PEM form.
    """

    offset: int
    private: bool
    form: str
    spki: bytes
    digest: str
    certificate: bytes = b""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo, lower-case hex; empty where that is."""
        return hashlib.sha256(self.spki).hexdigest() if self.spki else ""

    @property
    def origin(self) -> str:
        """Where its private half was published, empty when it is not known to be."""
        return published.origin(self.fingerprint) or published.origin(self.digest)


def private_key(offset: int, form: str, raw: bytes, spki: bytes) -> FoundKey:
    """Describe a private key by its own bytes and its public half."""
    digest = hashlib.sha256(raw).hexdigest()
    return FoundKey(offset=offset, private=True, form=form, spki=spki, digest=digest)


def spki_of(key: PublicKeyTypes) -> bytes:
    """Return the SubjectPublicKeyInfo of a public key, DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_spki(der: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a public key in DER form, empty when it is not one."""
    try:
        return spki_of(serialization.load_der_public_key(der))
    except FAILURES:
        return b""


def private_spki(raw: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a private key, empty when it cannot be read.

    Args:
        raw: The key as PEM, OpenSSH or DER.
    """
    loaders = (
        serialization.load_pem_private_key,
        serialization.load_ssh_private_key,
        serialization.load_der_private_key,
    )
    for load in loaders if raw.startswith(b"-----") else loaders[2:]:
        try:
            # Nothing is signed with it, and proving that its primes are prime takes long.
            return spki_of(load(raw, None, unsafe_skip_rsa_key_validation=True).public_key())
        except FAILURES:
            continue
    return b""
