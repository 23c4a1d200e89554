# SPDX-License-Identifier: MIT
"""A directory of keys: made all at once or not at all, never overwritten, read by role.

Each key is `<name>.key` (PKCS#8 PEM, mode 0600), `<name>.crt` and `<name>.pub`, which is what
`mkimage -k` expects. `keys.json` (schema `bootseal.keys/1`) says which role each name has; it is
written last, so a directory without it is not finished.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bootseal.errors import FormatError, UsageError
from bootseal.events import Finding, Severity, Silent
from bootseal.keys import certificate, public
from bootseal.keys.certificate import CertifiedKey
from bootseal.keys.manifest import MANIFEST, Entry, Manifest, manifest_json, read_manifest
from bootseal.keys.profile import KeySpec, Profile, Role, Storage
from bootseal.keys.signer import OTHERS_MAY, FileSigner, parse_private

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from cryptography import x509

    from bootseal.events import Progress
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey

_SUFFIXES: Final = (".key", ".crt", ".pub")
_PRIVATE_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644


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
        findings: What is wrong with its files.
    """

    role: Role
    name: str
    algorithm: Algorithm
    public_key: PublicKey
    not_after: datetime
    mode: int | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDirectory:
    """What `keys.json` of a directory says, checked against its files."""

    profile: str
    development: bool
    keys: tuple[StoredKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKey:
    """What a single key or certificate file holds; certificate fields are None for other files.

    Attributes:
        kind: `private key`, `public key` or `certificate`.
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


def generate(
    profile: Profile,
    directory: Path,
    *,
    only: Collection[Role] = (),
    insecure_file_keys: bool = False,
    progress: Progress | None = None,
) -> KeyDirectory:
    """Make the keys of a profile; when anything fails nothing is left behind.

    Args:
        profile: What to make.
        directory: Where; created with mode 0700, or already that private.
        only: Make only these roles; their issuers must be among them or in the directory.
        insecure_file_keys: Write keys declared as `token` to files all the same.
        progress: Told about each key, since RSA-4096 takes seconds.

    Raises:
        UsageError: A file is in the way, the directory is open to others or belongs to another
            profile, an issuer is missing, or a key belongs in a token.
    """
    progress = progress or Silent()
    wanted = _select(profile, only)
    if not insecure_file_keys:
        _refuse_tokens(wanted)
    entries = _entries_to_extend(profile, directory)
    _refuse_overwriting(directory, wanted)
    made: dict[Role, CertifiedKey] = {}
    files: dict[str, tuple[bytes, int]] = {}
    for spec in wanted:
        issuer = None
        if spec.issuer:
            issuer = made.get(spec.issuer) or _read_issuer(directory, profile, spec.issuer)
        with progress.step(f"{spec.name} ({spec.algorithm.name})"):
            key = made[spec.role] = certificate.issue(spec, issuer)
        public_key = public.from_crypto(key.private.public_key())
        files |= _files(spec.name, key, public_key)
        entries[spec.role] = Entry(
            name=spec.name, algorithm=spec.algorithm, fingerprint=public_key.fingerprint()
        )
    manifest = Manifest(profile=profile.name, development=profile.development, keys=entries)
    _write_all(directory, files, manifest)
    return list_keys(directory)


def list_keys(directory: Path) -> KeyDirectory:
    """Read a directory that `generate` made; of private keys only the permissions are read.

    Raises:
        UsageError: It is none, or a certificate is missing.
        FormatError: `keys.json` or a certificate is not readable.
    """
    manifest = read_manifest(directory)
    keys = [_stored(directory, role, entry) for role, entry in manifest.keys.items()]
    return KeyDirectory(
        profile=manifest.profile, development=manifest.development, keys=tuple(keys)
    )


def find(directory: Path, role: Role) -> StoredKey:
    """Return the key with a role.

    Raises:
        UsageError: The directory is no key directory or has no such key.
    """
    for key in list_keys(directory).keys:
        if key.role is role:
            return key
    raise UsageError(
        f"{directory} holds no key with the role {role.value!r}",
        hint=f"bootseal keys list {directory}",
    )


def signer(directory: Path, role: Role, passphrase: bytes | None = None) -> FileSigner:
    """Return a signer for the private key with a role.

    Raises:
        UsageError: There is none, or its file is not what `FileSigner.load` accepts.
        FormatError: The private key does not belong to the certificate.
    """
    key = find(directory, role)
    path = directory / f"{key.name}.key"
    loaded = FileSigner.load(path, passphrase)
    if loaded.public_key != key.public_key:
        raise FormatError(
            f"{path} has the fingerprint {loaded.public_key.fingerprint()}, its certificate "
            f"{key.public_key.fingerprint()}"
        )
    return loaded


def show(path: Path, passphrase: bytes | None = None) -> FileKey:
    """Describe a private key, public key or certificate file in PEM form.

    Raises:
        UsageError: There is no such file, or it is encrypted and the passphrase does not fit.
        FormatError: It holds none of these.
    """
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    mode = stat.S_IMODE(path.stat().st_mode)
    if b"BEGIN CERTIFICATE" in pem:
        cert = certificate.read(path)
        return FileKey(
            kind="certificate",
            public_key=public.from_crypto(cert.public_key()),
            subject=cert.subject.rfc4514_string(),
            issuer=cert.issuer.rfc4514_string(),
            authority=certificate.is_authority(cert),
            not_after=cert.not_valid_after_utc,
            mode=mode,
            findings=tuple(_expiry_findings(path, cert)),
        )
    if b"PRIVATE KEY" in pem:
        key = parse_private(pem, str(path), passphrase)
        return FileKey(
            kind="private key",
            public_key=public.from_crypto(key.public_key()),
            mode=mode,
            findings=tuple(_mode_findings(path, mode)),
        )
    try:
        public_key = public.from_pem(pem)
    except FormatError as error:
        raise FormatError(f"{path} holds {error.message}") from error
    return FileKey(kind="public key", public_key=public_key, mode=mode, findings=())


def _select(profile: Profile, only: Collection[Role]) -> list[KeySpec]:
    declared = [spec.role for spec in profile.keys]
    for role in only:
        if role not in declared:
            raise UsageError(
                f"profile {profile.name} declares no key {role.value!r}: "
                f"it has {', '.join(declared)}"
            )
    return [spec for spec in profile.keys if not only or spec.role in only]


def _refuse_tokens(wanted: Sequence[KeySpec]) -> None:
    tokens = [spec.role for spec in wanted if spec.storage is Storage.TOKEN]
    if tokens:
        raise UsageError(
            f"the profile keeps these private keys in a token, not in files: {', '.join(tokens)}",
            hint="make them in the token; for a rehearsal add --insecure-file-keys",
        )


def _entries_to_extend(profile: Profile, directory: Path) -> dict[Role, Entry]:
    """Return what the directory already holds; refuse one that must not be added to."""
    if not directory.exists():
        return {}
    if not directory.is_dir():
        raise UsageError(f"{directory} is in the way: expected a directory or nothing")
    if (mode := stat.S_IMODE(directory.stat().st_mode)) & OTHERS_MAY:
        raise UsageError(
            f"{directory} has mode {mode:04o}: private keys go where no other user can look",
            hint=f"chmod 700 {directory}",
        )
    if not (directory / MANIFEST).exists():
        return {}
    manifest = read_manifest(directory)
    if (manifest.profile, manifest.development) != (profile.name, profile.development):
        raise UsageError(
            f"{directory} holds keys of the profile {manifest.profile!r}: those of "
            f"{profile.name!r} go elsewhere"
        )
    return dict(manifest.keys)


def _refuse_overwriting(directory: Path, wanted: Sequence[KeySpec]) -> None:
    for spec in wanted:
        for suffix in _SUFFIXES:
            path = directory / f"{spec.name}{suffix}"
            if path.exists() or path.is_symlink():
                raise _in_the_way(path)


def _in_the_way(path: Path) -> UsageError:
    return UsageError(
        f"{path} is in the way: a key is never overwritten, and nothing was made",
        hint="choose another directory, or --only the roles that are missing",
    )


def _read_issuer(directory: Path, profile: Profile, role: Role) -> CertifiedKey:
    spec = next(spec for spec in profile.keys if spec.role is role)
    path = directory / f"{spec.name}.key"
    if not path.exists():
        raise UsageError(
            f"{path}, the issuer's private key, is not there",
            hint=f"make it in the same run: --only {role} --only ...",
        )
    signer(directory, role)  # refuses open permissions and a certificate of another key
    return CertifiedKey(
        private=parse_private(path.read_bytes(), str(path)),
        certificate=certificate.read(path.with_suffix(".crt")),
        hash_name=spec.algorithm.hash_name,
    )


def _files(name: str, key: CertifiedKey, public_key: PublicKey) -> dict[str, tuple[bytes, int]]:
    private = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        f"{name}.key": (private, _PRIVATE_MODE),
        f"{name}.crt": (key.certificate.public_bytes(Encoding.PEM), _PUBLIC_MODE),
        f"{name}.pub": (public_key.pem, _PUBLIC_MODE),
    }


def _write_all(directory: Path, files: Mapping[str, tuple[bytes, int]], manifest: Manifest) -> None:
    created: list[Path] = []
    new_directory = not directory.exists()
    pending = directory / f"{MANIFEST}.new"
    try:
        if new_directory:
            directory.mkdir(mode=0o700, parents=True)
        for name, (content, mode) in files.items():
            path = directory / name
            _write_new(path, content, mode, created)
        _write_new(pending, manifest_json(manifest), _PUBLIC_MODE, created)
        pending.replace(directory / MANIFEST)
    except BaseException:
        for path in created:
            path.unlink(missing_ok=True)
        if new_directory:
            with suppress(OSError):
                directory.rmdir()
        raise


def _write_new(path: Path, content: bytes, mode: int, created: list[Path]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise _in_the_way(path) from None
    created.append(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _stored(directory: Path, role: Role, entry: Entry) -> StoredKey:
    cert_path, key_path = (directory / f"{entry.name}{suffix}" for suffix in (".crt", ".key"))
    cert = certificate.read(cert_path)
    public_key = public.from_crypto(cert.public_key())
    mode = stat.S_IMODE(key_path.stat().st_mode) if key_path.exists() else None
    findings = [*_expiry_findings(cert_path, cert)]
    if mode is not None:
        findings += _mode_findings(key_path, mode)
    if public_key.fingerprint() != entry.fingerprint:
        findings.append(
            Finding(
                id="keys.fingerprint",
                severity=Severity.ERROR,
                where=str(cert_path),
                message=f"the certificate is for another key than {MANIFEST} recorded: "
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
        findings=tuple(findings),
    )


def _mode_findings(path: Path, mode: int) -> Iterator[Finding]:
    if mode & OTHERS_MAY:
        yield Finding(
            id="keys.permissions",
            severity=Severity.ERROR,
            where=str(path),
            message=f"mode {mode:04o} gives other users access to a private key: expected 0600",
        )


def _expiry_findings(path: Path, cert: x509.Certificate) -> Iterator[Finding]:
    if cert.not_valid_after_utc < datetime.now(UTC):
        yield Finding(
            id="keys.expired",
            severity=Severity.WARNING,
            where=str(path),
            message=f"the certificate expired on {cert.not_valid_after_utc:%Y-%m-%d}",
        )
