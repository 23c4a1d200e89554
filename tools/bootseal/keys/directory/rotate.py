# SPDX-License-Identifier: MIT
"""What happens to keys after they were made: rotation and revocation.

A rotation gives the role `fit` to the key that devices trust as `fit-next`, and makes a new
`fit-next`. The old key is retired: it may still sign for devices whose U-Boot knows nothing newer.
The keys of boot loaders below the master root key need no successor that devices know: each
firmware brings its own certificates; nor does the key of updates, as each bundle brings its
certificate. That of applications is in the root of each release, that of kernel modules in its
kernel. A revoked key signs nothing any more.
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

REPLACED: Final = (
    *(Role.FW_TRUSTED, Role.FW_NONTRUSTED, Role.FW_SOC, Role.FW_BOOT),
    *(Role.UPDATE, Role.APP, Role.MODULES),
)
"""Roles whose keys are replaced with the next firmware, the next update or the next release."""

_NUMBER: Final = re.compile(r"(.*?)(\d{1,9})")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What a rotation did.

    Attributes:
        retired: The key that signed so far; None when there was no successor to take over, so
            that it goes on.
        current: The key with the role now.
        coming: The new key with the role `fit-next`; None for keys of boot loaders, updates,
            applications and kernel modules, which have no such successor.
    """

    retired: KeyEntry | None
    current: KeyEntry
    coming: KeyEntry | None


def rotate(
    directory: Path,
    role: Role = Role.FIT,
    *,
    algorithm: str | None = None,
    uri: str = "",
    access: Access | None = None,
    progress: Progress | None = None,
) -> Rotation:
    """Retire a key in favour of the next.

    For `fit` that is its successor, whose own successor is made; when there is none yet, one is
    made and nothing is retired. For another kind of key it is a new one.

    Args:
        directory: A key directory with such a key.
        role: `fit`, or one of `REPLACED`.
        algorithm: Of the new key; that of the key before it when None.
        uri: Key URI of the new key when it is in a token; empty makes a file.
        access: What opening keys in tokens needs, such as a PIN.
        progress: Told about the new key.

    Raises:
        UsageError: There is no such key, keys with this role are not rotated, the successor was
            revoked, or the private key of the issuer is not there.
        ToolError: A token fails.
    """
    _check_role(role)
    refuse_open_directory(directory)
    manifest = read_manifest(directory)
    current, successor = _in_use(directory, manifest, role)
    latest = successor or current
    issuer_role = _issuer_role(directory, manifest, latest)
    issuer = issuer_with(directory, issuer_role, access) if issuer_role else None
    new_role = role if role in REPLACED else Role.FIT_NEXT
    spec = _next_spec(directory, manifest, latest, new_role, issuer)
    if algorithm:
        spec = dataclasses.replace(spec, algorithm=Algorithm.parse(algorithm))
    with (progress or Silent()).step(f"{spec.name} ({spec.algorithm.name})"):
        made = make(spec, issuer, uri, access)
    keys = manifest.keys | {spec.role: made.entry}
    former = manifest.former
    retired = None
    if successor or role in REPLACED:
        retired = current
        if current.state is KeyState.ACTIVE:
            retired = dataclasses.replace(current, state=KeyState.RETIRED, since=_today())
        keys[role] = successor or made.entry
        former += ((role, retired),)
    write_all(directory, made.files, dataclasses.replace(manifest, keys=keys, former=former))
    coming = keys.get(Role.FIT_NEXT) if role is Role.FIT else None
    return Rotation(retired=retired, current=keys[role], coming=coming)


def _check_role(role: Role) -> None:
    if role is Role.MRK:
        raise UsageError(
            "the master root key cannot be rotated: its hash is in the ROM, which has only one",
            hint="for new devices: bootseal keys generate NEW-DIR, and a new ROM",
        )
    if role is not Role.FIT and role not in REPLACED:
        raise UsageError(
            f"keys with the role {role.value!r} cannot be rotated: expected fit, "
            f"{', '.join(REPLACED)}",
            hint="make another in a new directory: bootseal keys generate NEW-DIR",
        )


def _in_use(directory: Path, manifest: Manifest, role: Role) -> tuple[KeyEntry, KeyEntry | None]:
    """Return the key with a role, and the successor of the FIT key if there is one yet."""
    if role not in manifest.keys:
        raise UsageError(
            f"{directory} has no key with the role {role.value!r} to rotate",
            hint=f"bootseal keys list {directory}",
        )
    successor = manifest.keys.get(Role.FIT_NEXT) if role is Role.FIT else None
    if successor and successor.state is KeyState.REVOKED:
        raise UsageError(
            f"{successor.name}, the successor, was revoked on {successor.since}: devices must not "
            "be moved to it",
            hint="remove its line from keys.json and rotate again to make another",
        )
    return manifest.keys[role], successor


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
    directory: Path, manifest: Manifest, latest: KeyEntry, role: Role, issuer: Issuer | None
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
        role=role,
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
