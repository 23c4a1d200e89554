# SPDX-License-Identifier: MIT
"""A directory of keys: made all at once or not at all, never overwritten, read by role.

Each key is `<name>.key` (PKCS#8 PEM, mode 0600), `<name>.crt` and `<name>.pub`, which is what
`mkimage -k` expects. `keys.json` (schema `bootseal.keys/1`) says which role each name has; it is
written last, so a directory without it is not finished.
"""

from __future__ import annotations

import dataclasses
import logging
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, UsageError
from bootseal.findings.catalogue import finding
from bootseal.keys import certificate, public
from bootseal.keys.certificate import Issuer
from bootseal.keys.directory.create import (
    make,
    refuse_open_directory,
    refuse_overwriting,
    write_all,
)
from bootseal.keys.directory.inspect import expiry_findings, mode_findings, published_findings
from bootseal.keys.manifest import MANIFEST, KeyEntry, KeyState, Manifest, read_manifest
from bootseal.keys.profile import KeySpec, Profile, Role, Storage
from bootseal.keys.signers import base as signers
from bootseal.progress import Progress, Silent

if TYPE_CHECKING:
    from datetime import datetime

    from bootseal.findings.model import Finding
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Access, Signer

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key of a directory, without its secret.

    Attributes:
        role: What it is for.
        name: File stem and key-name-hint.
        algorithm: Hash and kind of key it was declared with.
        public_key: The public half.
        not_after: End of its certificate's lifetime.
        mode: Permission bits of the private key file, or None when that file is not here.
        reference: The token or service that holds the private key instead of the file.
        state: Whether it may sign.
        since: Day of that state, empty for an active key.
        findings: What is wrong with its files.
    """

    role: Role
    name: str
    algorithm: Algorithm
    public_key: PublicKey
    not_after: datetime
    mode: int | None
    reference: str
    state: KeyState
    since: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDirectory:
    """What `keys.json` of a directory says, checked against its files."""

    profile: str
    development: bool
    keys: tuple[StoredKey, ...]


def generate(
    profile: Profile,
    directory: Path,
    *,
    only: Collection[Role] = (),
    insecure_file_keys: bool = False,
    tokens: Mapping[Role, str] | None = None,
    access: Access | None = None,
    progress: Progress | None = None,
) -> KeyDirectory:
    """Make the keys of a profile; if anything fails, nothing is left behind.

    Args:
        profile: What to make.
        directory: Where; created with mode 0700, or already that private.
        only: Make only these roles; their issuers must be among them or in the directory.
        insecure_file_keys: Write keys declared as `token` to files all the same.
        tokens: Role to key URI of the keys that are in a token already; they are certified and
            listed, and the private key file refers to the URI.
        access: What opening those keys needs, such as a PIN.
        progress: Told about each key, since RSA-4096 takes seconds.

    Raises:
        UsageError: A file is in the way, the directory is open to others or belongs to another
            profile, an issuer is missing, or a key belongs in a token.
        ToolError: A token fails.
    """
    progress = progress or Silent()
    tokens = tokens or {}
    wanted = _select(profile, only)
    _check_storage(wanted, tokens, insecure_file_keys=insecure_file_keys)
    old = _manifest_to_extend(profile, directory)
    for spec in wanted:
        refuse_overwriting(directory, spec.name)
    issuers: dict[Role, Issuer] = {}
    entries: dict[Role, KeyEntry] = {}
    files: dict[str, tuple[bytes, int]] = {}
    for spec in wanted:
        issuer = None
        if spec.issuer:
            issuer = issuers.get(spec.issuer) or issuer_with(directory, spec.issuer, access)
        with progress.step(f"{spec.name} ({spec.algorithm.name})"):
            made = make(spec, issuer, tokens.get(spec.role, ""), access)
        issuers[spec.role], entries[spec.role] = made.issuer, made.entry
        files |= made.files
    write_all(directory, files, dataclasses.replace(old, keys=old.keys | entries))
    return list_keys(directory)


def list_keys(directory: Path) -> KeyDirectory:
    """Read a directory that `generate` made; of private keys only the permissions are read.

    Raises:
        UsageError: It is not one, or a certificate is missing.
        FormatError: `keys.json` or a certificate is not readable.
    """
    manifest = read_manifest(directory)
    keys = [_stored(directory, role, entry) for role, entry in manifest.entries()]
    return KeyDirectory(
        profile=manifest.profile, development=manifest.development, keys=tuple(keys)
    )


def find(directory: Path, role: Role) -> StoredKey:
    """Return the key with a role.

    Raises:
        UsageError: The directory is not a key directory or has no such key.
    """
    if entry := read_manifest(directory).keys.get(role):
        _log.info("%s key of %s: %s (%s)", role, directory, entry.name, entry.state)
        return _stored(directory, role, entry)
    raise UsageError(
        f"{directory} has no key with the role {role.value!r}",
        hint=f"bootseal keys list {directory}",
    )


def certificate_of(directory: Path, role: Role) -> Path:
    """Return where the certificate of the key with a role is.

    Raises:
        UsageError: The directory is not a key directory or has no such key.
    """
    return directory / f"{find(directory, role).name}.crt"


def signer(directory: Path, role: Role, access: Access | None = None) -> Signer:
    """Return a signer for the private key with a role, wherever it lives.

    Raises:
        UsageError: There is none, it was revoked, or `signer.open` does not accept its file.
        FormatError: The private key does not belong to the certificate.
        ToolError: Its token fails.
    """
    key = find(directory, role)
    path = directory / f"{key.name}.key"
    opened = signers.open(str(path), access)
    if opened.public_key != key.public_key:
        raise FormatError(
            f"{path} has the fingerprint {opened.public_key.fingerprint()}, its certificate "
            f"{key.public_key.fingerprint()}"
        )
    return opened


def issuer_with(directory: Path, role: Role, access: Access | None = None) -> Issuer:
    """Return the key with a role as a certifier of others.

    Raises:
        UsageError: Its private key is not there.
    """
    known = (directory / MANIFEST).exists() and role in read_manifest(directory).keys
    key = find(directory, role) if known else None
    if key is None or key.mode is None:
        raise UsageError(
            f"the private key of the issuer {role.value!r} is not in {directory}",
            hint=f"put it there while this runs, or make it in the same run: --only {role}",
        )
    return Issuer(
        signer=signer(directory, role, access),
        certificate=certificate.read(directory / f"{key.name}.crt"),
        hash_name=key.algorithm.hash_name,
    )


def _select(profile: Profile, only: Collection[Role]) -> list[KeySpec]:
    declared = [spec.role for spec in profile.keys]
    for role in only:
        if role not in declared:
            raise UsageError(
                f"profile {profile.name} declares no key {role.value!r}: it has "
                f"{', '.join(declared)}"
            )
    return [spec for spec in profile.keys if not only or spec.role in only]


def _check_storage(
    wanted: Collection[KeySpec], tokens: Mapping[Role, str], *, insecure_file_keys: bool
) -> None:
    roles = [spec.role for spec in wanted]
    if idle := [role for role in tokens if role not in roles]:
        raise UsageError(f"a token was named for {', '.join(idle)}, which is not being made")
    missing = [s.role for s in wanted if s.storage is Storage.TOKEN and s.role not in tokens]
    if missing and not insecure_file_keys:
        raise UsageError(
            f"the profile keeps these private keys in a token, not in files: {', '.join(missing)}",
            hint=f"make them in the token, then use --token {missing[0]}=pkcs11:... ; for a "
            "rehearsal add --insecure-file-keys",
        )


def _manifest_to_extend(profile: Profile, directory: Path) -> Manifest:
    """Return what the directory already holds; refuse one that must not be added to."""
    empty = Manifest(profile=profile.name, development=profile.development, keys={})
    if not directory.exists():
        return empty
    refuse_open_directory(directory)
    if not (directory / MANIFEST).exists():
        return empty
    manifest = read_manifest(directory)
    if (manifest.profile, manifest.development) != (profile.name, profile.development):
        raise UsageError(
            f"{directory} holds keys of the profile {manifest.profile!r}: those of "
            f"{profile.name!r} go elsewhere"
        )
    return manifest


def _stored(directory: Path, role: Role, entry: KeyEntry) -> StoredKey:
    cert_path, key_path = (directory / f"{entry.name}{suffix}" for suffix in (".crt", ".key"))
    cert = certificate.read(cert_path)
    public_key = public.from_crypto(cert.public_key())
    mode = stat.S_IMODE(key_path.stat().st_mode) if key_path.exists() else None
    findings = [*expiry_findings(cert_path, cert), *published_findings(cert_path, public_key)]
    if mode is not None:
        findings += mode_findings(key_path, mode)
    if public_key.fingerprint() != entry.fingerprint:
        findings.append(
            finding(
                "keys.fingerprint",
                str(cert_path),
                f"the certificate is for another key than {MANIFEST} recorded: "
                f"expected {entry.fingerprint}, found {public_key.fingerprint()}",
            )
        )
    return StoredKey(
        role=role,
        name=entry.name,
        algorithm=entry.algorithm,
        public_key=public_key,
        not_after=cert.not_valid_after_utc,
        mode=mode,
        reference=signers.read_reference(key_path),
        state=entry.state,
        since=entry.since,
        findings=tuple(findings),
    )
