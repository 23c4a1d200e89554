# SPDX-License-Identifier: MIT
"""Describes single key and certificate files, and what is wrong with them."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bootseal.errors import FormatError, UsageError
from bootseal.files import read_bounded
from bootseal.findings.catalogue import finding
from bootseal.formats.kinds.kind import KEY_FILE, Kind
from bootseal.formats.kinds.recognise import check
from bootseal.keys import certificate, public, published
from bootseal.keys.signers.file import parse_private
from bootseal.keys.signers.pin import OTHERS_MAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography import x509

    from bootseal.findings.model import Finding
    from bootseal.keys.public import PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKey:
    """What a single key or certificate file holds; certificate fields are None for other files.

    Attributes:
        kind: `private key`, `public key`, `certificate` or `certificate and private key`.
        public_key: The public half.
        subject: RFC 4514.
        issuer: RFC 4514.
        authority: Whether the certificate may certify others.
        not_after: End of the certificate's lifetime.
        mode: Permission bits of the file.
        findings: What is wrong with the file.
    """

    kind: str
    public_key: PublicKey
    subject: str | None = None
    issuer: str | None = None
    authority: bool | None = None
    not_after: datetime | None = None
    mode: int
    findings: tuple[Finding, ...]


def show(path: Path) -> FileKey:
    """Describe a private key, public key or certificate file in PEM form.

    Raises:
        UsageError: The file is missing, or it is an encrypted private key.
        FormatError: It holds none of these.
    """
    try:
        pem = read_bounded(path)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    mode = stat.S_IMODE(path.stat().st_mode)
    kind = check(pem, KEY_FILE, str(path))
    # Where there is a private key, it decides what may be said of the file.
    exposed = mode_findings(path, mode) if kind is Kind.BUNDLE else ()
    if kind in {Kind.CERTIFICATE, Kind.BUNDLE}:
        cert = certificate.read(path)
        key = public.from_crypto(cert.public_key())
        return FileKey(
            kind="certificate" if kind is Kind.CERTIFICATE else "certificate and private key",
            public_key=key,
            subject=cert.subject.rfc4514_string(),
            issuer=cert.issuer.rfc4514_string(),
            authority=certificate.is_authority(cert),
            not_after=cert.not_valid_after_utc,
            mode=mode,
            findings=(
                *exposed,
                *expiry_findings(path, cert),
                *published_findings(path, key),
            ),
        )
    if kind is Kind.PRIVATE_KEY:
        private = parse_private(pem, str(path))
        key = public.from_crypto(private.public_key())
        return FileKey(
            kind="private key",
            public_key=key,
            mode=mode,
            findings=(*mode_findings(path, mode), *published_findings(path, key)),
        )
    try:
        key = public.from_pem(pem)
    except FormatError as error:
        raise FormatError(f"{path} holds {error.message}") from error
    return FileKey(
        kind="public key",
        public_key=key,
        mode=mode,
        findings=tuple(published_findings(path, key)),
    )


def mode_findings(path: Path, mode: int) -> Iterator[Finding]:
    """Say when others may access a private key file."""
    if mode & OTHERS_MAY:
        yield finding(
            "keys.permissions",
            str(path),
            f"mode {mode:04o} gives other users access to a private key: expected 0600",
        )


def published_findings(path: Path, key: PublicKey) -> Iterator[Finding]:
    """Say when the private half of a key is public."""
    if origin := published.origin(key.fingerprint()):
        yield finding(
            "keys.published",
            str(path),
            f"a published test key ({origin}): anyone can sign with it",
        )


def expiry_findings(path: Path, cert: x509.Certificate) -> Iterator[Finding]:
    """Say when a certificate has expired."""
    if cert.not_valid_after_utc < datetime.now(UTC):
        yield finding(
            "keys.expired",
            str(path),
            f"the certificate expired on {cert.not_valid_after_utc:%Y-%m-%d}",
        )
