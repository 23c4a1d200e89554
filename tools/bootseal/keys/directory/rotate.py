# SPDX-License-Identifier: MIT
"""What happens to keys after they were made: rotation and revocation.

A rotation gives the role `fit` to the key that devices trust as `fit-next`, and makes a new
`fit-next`. The old key is retired: it may still sign for devices whose U-Boot knows nothing newer.
A revoked key signs nothing any more.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from bootseal.errors import UsageError
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory.create import make, refuse_open_directory, write_all
from bootseal.keys.directory.directory import issuer_with
from bootseal.keys.manifest import KeyEntry, KeyState, Manifest, read_manifest
from bootseal.keys.profile import KeySpec, Role, Storage
from bootseal.progress import Progress, Silent

if TYPE_CHECKING:
    from bootseal.keys.certificate import Issuer
    from bootseal.keys.signers.base import Access

_NUMBER: Final = re.compile(r"(.*?)(\d+)")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What a rotation did.

    Attributes:
        retired: The key that signed so far; None when there was no successor to take over, so
            that it goes on.
        current: The key with the role `fit` now.
        coming: The new key with the role `fit-next`.
    """

    retired: KeyEntry | None
    current: KeyEntry
    coming: KeyEntry


def rotate(
    directory: Path,
    *,
    algorithm: str | None = None,
    uri: str = "",
    access: Access | None = None,
    progress: Progress | None = None,
) -> Rotation:
    """Retire the FIT key in favour of its successor, and make the successor's successor.

    When there is no successor yet, one is made and nothing is retired.

    Args:
        directory: A key directory with a `fit` key.
        algorithm: Of the new key; that of the key before it when None.
        uri: Key URI of the new key when it is in a token; empty makes a file.
        access: What opening keys in tokens needs, such as a PIN.
        progress: Told about the new key.

    Raises:
        UsageError: There is no `fit` key, the successor was revoked, or the private key of the
            issuer is not there.
        ToolError: A token fails.
    """
    refuse_open_directory(directory)
    manifest = read_manifest(directory)
    current, successor = _in_use(directory, manifest)
    latest = successor or current
    role = _issuer_role(directory, manifest, latest)
    issuer = issuer_with(directory, role, access) if role else None
    spec = _next_spec(directory, manifest, latest, issuer)
    if algorithm:
        spec = dataclasses.replace(spec, algorithm=Algorithm.parse(algorithm))
    with (progress or Silent()).step(f"{spec.name} ({spec.algorithm.name})"):
        made = make(spec, issuer, uri, access)
    keys = dict(manifest.keys)
    former = manifest.former
    retired = None
    if successor:
        retired = current
        if current.state is KeyState.ACTIVE:
            retired = dataclasses.replace(current, state=KeyState.RETIRED, since=_today())
        keys[Role.FIT] = successor
        former += ((Role.FIT, retired),)
    keys[Role.FIT_NEXT] = made.entry
    write_all(directory, made.files, dataclasses.replace(manifest, keys=keys, former=former))
    return Rotation(retired=retired, current=keys[Role.FIT], coming=made.entry)


def _in_use(directory: Path, manifest: Manifest) -> tuple[KeyEntry, KeyEntry | None]:
    """Return the FIT key and its successor, if there is one yet."""
    if Role.FIT not in manifest.keys:
        raise UsageError(
            f"{directory} has no key with the role 'fit' to rotate",
            hint=f"bootseal keys list {directory}",
        )
    successor = manifest.keys.get(Role.FIT_NEXT)
    if successor and successor.state is KeyState.REVOKED:
        raise UsageError(
            f"{successor.name}, the successor, was revoked on {successor.since}: devices that "
            "know it cannot be moved to it",
            hint="remove its line from keys.json and rotate again to make another",
        )
    return manifest.keys[Role.FIT], successor


def revoke(directory: Path, key: str, *, reason: str) -> KeyEntry:
    """Mark a key as revoked.

    Args:
        directory: A key directory.
        key: Name or fingerprint.
        reason: Recorded, and shown to anyone who tries to sign with it.

    Raises:
        UsageError: There is no such key, or it is revoked already.
    """
    manifest = read_manifest(directory)
    found = [entry for _, entry in manifest.entries() if key in {entry.name, entry.fingerprint}]
    if not found:
        names = ", ".join(entry.name for _, entry in manifest.entries())
        raise UsageError(f"{directory} has no key {key!r}: it has {names}")
    if found[0].state is KeyState.REVOKED:
        raise UsageError(
            f"{found[0].name} was revoked on {found[0].since} already ({found[0].reason})"
        )
    revoked = dataclasses.replace(
        found[0], state=KeyState.REVOKED, since=_today(), reason=reason or "no reason given"
    )
    changed = {
        (role, entry): revoked if entry == found[0] else entry for role, entry in manifest.entries()
    }
    write_all(
        directory,
        {},
        dataclasses.replace(
            manifest,
            keys={role: changed[role, entry] for role, entry in manifest.keys.items()},
            former=tuple((role, changed[role, entry]) for role, entry in manifest.former),
        ),
    )
    return revoked


def is_fingerprint(text: str) -> bool:
    """Whether a text is a fingerprint as this package prints them."""
    return _FINGERPRINT.fullmatch(text) is not None


def _next_spec(
    directory: Path, manifest: Manifest, latest: KeyEntry, issuer: Issuer | None
) -> KeySpec:
    """Declare a key like the latest, with the next number in name and subject."""
    cert = certificate.read(directory / f"{latest.name}.crt")
    match = _NUMBER.fullmatch(latest.name)
    stem, number = (match[1], int(match[2])) if match else (f"{latest.name}-", 1)
    taken = {entry.name for _, entry in manifest.entries()}
    number += 1
    while f"{stem}{number}" in taken:
        number += 1
    days = (cert.not_valid_after_utc - cert.not_valid_before_utc).days
    if issuer:
        days = min(days, (issuer.certificate.not_valid_after_utc - datetime.now(UTC)).days)
    return KeySpec(
        role=Role.FIT_NEXT,
        name=f"{stem}{number}",
        algorithm=latest.algorithm,
        subject=_subject(cert, number),
        issuer=None,
        authority=False,
        valid_days=days,
        storage=Storage.FILE,
    )


def _issuer_role(directory: Path, manifest: Manifest, latest: KeyEntry) -> Role | None:
    """Return the role whose key certified another, None when that certified itself."""
    cert = certificate.read(directory / f"{latest.name}.crt")
    if cert.issuer == cert.subject:
        return None
    for role, entry in manifest.keys.items():
        if certificate.read(directory / f"{entry.name}.crt").subject == cert.issuer:
            return role
    raise UsageError(
        f"the issuer of {latest.name}, {cert.issuer.rfc4514_string()}, is not in {directory}",
        hint="bring its certificate and private key for as long as this takes",
    )


def _subject(cert: x509.Certificate, number: int) -> str:
    """Return the subject with this number at the end of its common name."""

    def numbered(attribute: x509.NameAttribute[str | bytes]) -> x509.NameAttribute[str | bytes]:
        if attribute.oid != NameOID.COMMON_NAME:
            return attribute
        match = _NUMBER.fullmatch(str(attribute.value))
        stem = match[1] if match else str(attribute.value) + " "
        return x509.NameAttribute(attribute.oid, f"{stem}{number}")

    names = (x509.RelativeDistinguishedName(map(numbered, rdn)) for rdn in cert.subject.rdns)
    return x509.Name(names).rfc4514_string()


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
