# SPDX-License-Identifier: MIT
"""Looks through a directory of keys for what should not be there.

Any directory of PEM files can be audited; one with a `keys.json` is also held against that.
"""

from __future__ import annotations

import stat
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from bootseal.errors import BootsealError
from bootseal.files import read_bounded, resolved
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, Severity
from bootseal.keys import certificate
from bootseal.keys.algorithms import KeyKind
from bootseal.keys.directory import inspect
from bootseal.keys.manifest import MANIFEST, KeyState, Manifest, read_manifest
from bootseal.keys.profile import Role
from bootseal.keys.signers.base import read_reference
from bootseal.keys.signers.pin import OTHERS_MAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.keys.directory.inspect import FileKey

_SUFFIXES: Final = frozenset({".key", ".crt", ".pub", ".pem"})
_ENCRYPTED: Final = b"ENCRYPTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was looked at and what is wrong with it."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]


def audit(directory: Path, *, max_age: timedelta) -> Audit:
    """Examine every key and certificate file of a directory.

    Args:
        directory: Any directory of PEM files.
        max_age: Certificates of signing keys older than this are reported.

    Raises:
        FormatError: Its `keys.json` is not valid.
        OSError: It cannot be read.
    """
    manifest = read_manifest(directory) if (directory / MANIFEST).exists() else None
    paths = sorted(path for path in directory.iterdir() if path.suffix in _SUFFIXES)
    findings = [*_directory(directory)]
    keys: dict[Path, FileKey] = {}
    for path in paths:
        findings += _file(path, keys, max_age)
    findings += _pairs(keys)
    findings += _duplicates(keys)
    if manifest:
        findings += _manifest(directory, manifest, keys)
    return Audit(files=tuple(path.name for path in paths), findings=tuple(findings))


def _directory(directory: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(directory.stat().st_mode)
    private = any(path.suffix in {".key", ".pem"} for path in directory.iterdir())
    if private and mode & OTHERS_MAY:
        yield finding("keys.permissions", str(directory), f"mode {mode:04o}: expected 0700")


def _file(path: Path, keys: dict[Path, FileKey], max_age: timedelta) -> Iterator[Finding]:
    if path.is_symlink():
        yield finding(
            "keys.symlink", str(path), f"points to {resolved(path)}, which is checked instead"
        )
    if not path.is_file():
        yield finding("keys.unreadable", str(path), "is not a file")
        return
    if read_reference(path):
        yield from inspect.mode_findings(path, stat.S_IMODE(path.stat().st_mode))
        return
    if _ENCRYPTED in read_bounded(path):
        # Its public half is that of its certificate; passphrases are not asked for.
        yield from inspect.mode_findings(path, stat.S_IMODE(path.stat().st_mode))
        return
    try:
        key = keys[path] = inspect.show(path)
    except BootsealError as error:
        yield finding("keys.unreadable", str(path), error.message)
        return
    yield from key.findings
    if key.kind == "certificate":
        yield from _age(path, max_age)


def _age(path: Path, max_age: timedelta) -> Iterator[Finding]:
    cert = certificate.read(path)
    age = datetime.now(UTC) - cert.not_valid_before_utc
    if age > max_age and not certificate.is_authority(cert):
        yield finding(
            "keys.age",
            str(path),
            f"is {age.days} days old: expected a rotation after {max_age.days}",
        )


def _pairs(keys: dict[Path, FileKey]) -> Iterator[Finding]:
    """Compare the files that share a stem."""
    stems = defaultdict[str, list["Path"]](list)
    for path in keys:
        stems[path.stem].append(path)
    for paths in stems.values():
        first = keys[paths[0]].public_key
        for other in paths[1:]:
            if keys[other].public_key != first:
                yield finding(
                    "keys.mismatch",
                    str(other),
                    f"is key {keys[other].public_key.fingerprint()}, but {paths[0].name} is "
                    f"{first.fingerprint()}",
                )


def _duplicates(keys: dict[Path, FileKey]) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for path, key in keys.items():
        first = seen.setdefault(key.public_key.fingerprint(), path)
        if first.stem != path.stem:
            yield finding(
                "keys.duplicate", str(path), f"is the same key as {first.name} under another name"
            )


def _manifest(directory: Path, manifest: Manifest, keys: dict[Path, FileKey]) -> Iterator[Finding]:
    names = {entry.name for _, entry in manifest.entries()}
    for path in keys:
        if path.stem not in names:
            yield finding("keys.stray", str(path), f"{MANIFEST} does not know it")
    for role, entry in manifest.entries():
        path = directory / f"{entry.name}.crt"
        if path not in keys:
            yield finding("keys.missing", str(path), f"{MANIFEST} lists it")
        elif keys[path].public_key.fingerprint() != entry.fingerprint:
            yield finding(
                "keys.fingerprint", str(path), f"expected {entry.fingerprint}, as {MANIFEST} says"
            )
        if entry.algorithm.kind is KeyKind.RSA2048 and role is not Role.POLICY:
            yield finding(
                "keys.algorithm", str(path), "RSA-2048: expected 3072 bits or more in a new key"
            )
        yield from _state(path, manifest, role, entry.state, entry.since)
        private = path.with_suffix(".key")
        if not manifest.development and private in keys:
            yield finding(
                "keys.plain",
                str(private),
                "the private key of a production profile is not encrypted",
            )


def _state(
    path: Path, manifest: Manifest, role: Role, state: KeyState, since: str
) -> Iterator[Finding]:
    current = role in manifest.keys and manifest.keys[role].name == path.stem
    if state is KeyState.REVOKED and current:
        yield finding(
            "keys.revoked", str(path), f"was revoked on {since} and is still the {role} key"
        )
    elif state is KeyState.REVOKED and path.with_suffix(".key").exists():
        yield finding(
            "keys.revoked",
            str(path),
            f"was revoked on {since}: destroy its private key",
            severity=Severity.WARNING,
        )
