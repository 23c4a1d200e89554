# SPDX-License-Identifier: MIT
"""What is wrong with keys and certificates wherever in a directory they were found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from bootseal.findings.catalogue import finding
from bootseal.keys import weakness
from bootseal.keys.certificate import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.findings.model import Finding
    from bootseal.keys.directory.contents import FilePart
    from bootseal.keys.search.found import FoundKey

_WEAK: Final = (hashes.MD5, hashes.SHA1)


def check(found: Sequence[tuple[FilePart, FoundKey]]) -> Iterator[Finding]:
    """Yield weak and published keys, and certificates that are weak or not valid."""
    weak: dict[bytes, list[str]] = {}
    sharing = set(weakness.shared_primes([key.spki for _, key in found if key.spki]))
    for part, key in found:
        where = place(part, key)
        if key.spki and key.spki not in weak:
            weak[key.spki] = weakness.inspect(key.spki)
        for reason in weak.get(key.spki, ()):
            yield finding("keys.weak", where, f"the key has {reason}")
        if key.spki in sharing:
            message = "the modulus has a prime in common with another key: both are broken"
            yield finding("keys.shared-prime", where, message)
        if key.origin:
            message = f"a published test key ({key.origin}): anyone can sign with it"
            yield finding("keys.published", where, message)
        if key.certificate:
            yield from _certificate(key.certificate, where)


def place(part: FilePart, key: FoundKey) -> str:
    """Say where in a file a key was found."""
    if part.inside or not key.offset:
        return part.place
    return f"{part.place} at byte {key.offset}"


def _certificate(der: bytes, where: str) -> Iterator[Finding]:
    try:
        cert = x509.load_der_x509_certificate(der)
        digest = cert.signature_hash_algorithm
    except UNREADABLE:
        return
    now = datetime.now(UTC)
    if cert.not_valid_before_utc > now:
        message = f"the certificate is not valid before {cert.not_valid_before_utc:%Y-%m-%d}"
        yield finding("keys.not-yet-valid", where, message)
    if cert.not_valid_after_utc < now:
        message = f"the certificate expired on {cert.not_valid_after_utc:%Y-%m-%d}"
        yield finding("keys.expired", where, message)
    if isinstance(digest, _WEAK):
        message = f"the certificate is signed with {digest.name}: expected sha256 or better"
        yield finding("keys.weak-digest", where, message)
