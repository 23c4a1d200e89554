# SPDX-License-Identifier: MIT
"""Looks through a directory for keys, and for what should not be there.

Every file of any directory is looked at by its content; a directory with a `keys.json` is also held
against that. What was looked at and what was not is part of the result.
"""

from __future__ import annotations

import stat
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from bootseal.errors import BootsealError
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, Severity
from bootseal.formats.kinds.kind import KEY_FILE, PRIVATE_KEYS, Kind
from bootseal.keys import certificate, cms, weakness
from bootseal.keys.algorithms import KeyKind
from bootseal.keys.directory import contents, everywhere, inspect
from bootseal.keys.directory.contents import FilePart, Skipped
from bootseal.keys.manifest import MANIFEST, KeyState, Manifest, read_manifest
from bootseal.keys.profile import Role
from bootseal.keys.search import search
from bootseal.keys.signers.pin import OTHERS_MAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.keys.directory.inspect import FileKey
    from bootseal.keys.search.found import FoundKey

_SUFFIXES: Final = frozenset({".key", ".crt", ".pub", ".pem"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A file that was examined, or one in an archive.

    Attributes:
        path: Where.
        kind: What it is, in words.
        keys: Forms of the keys and certificates in it.
    """

    path: str
    kind: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was examined, and the problems found.

    Attributes:
        files: What was looked at.
        skipped: What was not.
        unchecked: Weaknesses of keys that were not looked for, and what to type to change that.
        findings: What is wrong.
    """

    files: tuple[Looked, ...]
    skipped: tuple[Skipped, ...]
    unchecked: tuple[str, ...]
    findings: tuple[Finding, ...]


def audit(directory: Path, *, max_age: timedelta) -> Audit:
    """Examine every file of a directory, within the bounds of `contents`.

    Args:
        directory: Any directory.
        max_age: Certificates of signing keys older than this are reported.

    Raises:
        FormatError: Its `keys.json` is not valid.
        OSError: It cannot be read.
    """
    manifest = read_manifest(directory) if (directory / MANIFEST).exists() else None
    findings: list[Finding] = []
    keys: dict[Path, FileKey] = {}
    files: list[Looked] = []
    skipped: list[Skipped] = []
    everything: list[tuple[FilePart, FoundKey]] = []
    for part in contents.walk(directory):
        if isinstance(part, Skipped):
            skipped.append(part)
            continue
        found = list(search.find(part.data))
        if part.kind is Kind.DER_CERTIFICATE:
            found = [replace(key, certificate=part.data) for key in found]
        # Without its content, which is large: all of a directory's need not fit into memory.
        everything += [(replace(part, data=b""), key) for key in found]
        forms = tuple(key.form for key in found)
        files.append(Looked(path=part.place, kind=part.kind.value, keys=forms))
        if len(found) == search.MAX_FOUND:
            reason = f"has more than {search.MAX_FOUND} keys, and the others"
            skipped.append(Skipped(path=part.place, reason=reason))
        findings += _file(part, found, keys, max_age)
    findings += [_skipped(each) for each in skipped]
    findings += _directory(directory, files=everything, keys=keys)
    findings += everywhere.check(everything)
    findings += _pairs(keys)
    findings += _duplicates(directory, manifest, keys, everything)
    if manifest:
        findings += _manifest(directory, manifest, keys, everything)
    return Audit(
        files=tuple(files),
        skipped=tuple(skipped),
        unchecked=weakness.unchecked(),
        findings=tuple(dict.fromkeys(findings)),
    )


def _skipped(skipped: Skipped) -> Finding:
    link = skipped.reason == contents.LINK
    return finding(
        "keys.symlink" if link else "keys.unseen",
        skipped.path,
        skipped.reason if link else f"{skipped.reason}: it was not examined, or only in part",
    )


def _directory(
    directory: Path, *, files: list[tuple[FilePart, FoundKey]], keys: dict[Path, FileKey]
) -> Iterator[Finding]:
    mode = stat.S_IMODE(directory.stat().st_mode)
    private = any(key.private for _, key in files) or any(path.suffix == ".key" for path in keys)
    if private and mode & OTHERS_MAY:
        yield finding("keys.permissions", str(directory), f"mode {mode:04o}: expected 0700")


def _file(
    part: FilePart, found: list[FoundKey], keys: dict[Path, FileKey], max_age: timedelta
) -> Iterator[Finding]:
    path = part.path
    if any(key.private for key in found) or part.kind in PRIVATE_KEYS:
        yield from inspect.mode_findings(path, stat.S_IMODE(path.stat().st_mode))
    # Encrypted: the public half is that of its certificate; passphrases are not asked for.
    encrypted = part.kind is Kind.PRIVATE_KEY and not any(key.spki for key in found)
    if part.inside or part.kind is Kind.KEY_REFERENCE or (encrypted and found):
        return
    if part.kind not in KEY_FILE.kinds and path.suffix not in _SUFFIXES:
        return
    try:
        key = keys[path] = inspect.show(path)
    except BootsealError as error:
        # A key of another kind than ours is not a fault, nor is a name.
        if not found:
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


def _duplicates(
    directory: Path,
    manifest: Manifest | None,
    keys: dict[Path, FileKey],
    files: list[tuple[FilePart, FoundKey]],
) -> Iterator[Finding]:
    """Yield keys under two names, each pair of names once, and keys for two roles."""
    uses = [
        (key.fingerprint or key.digest, part.path, everywhere.place(part, key))
        for part, key in files
        if key.private
    ]
    uses += [(key.public_key.fingerprint(), path, str(path)) for path, key in keys.items()]
    first: dict[str, Path] = {}
    said = set()
    for fingerprint, path, place in uses:
        known = first.setdefault(fingerprint, path)
        pair = frozenset({known.stem, path.stem})
        if len(pair) > 1 and pair not in said:
            said.add(pair)
            message = f"is the same key as {known.name} under another name"
            yield finding("keys.duplicate", place, message)
    roles: dict[str, tuple[Role, str]] = {}
    for role, entry in manifest.entries() if manifest else ():
        other, name = roles.setdefault(entry.fingerprint, (role, entry.name))
        if other != role and frozenset({name, entry.name}) not in said:
            message = f"is the same key for two roles: {other} and {role}"
            yield finding("keys.duplicate", str(directory / MANIFEST), message)


def _manifest(
    directory: Path,
    manifest: Manifest,
    keys: dict[Path, FileKey],
    files: list[tuple[FilePart, FoundKey]],
) -> Iterator[Finding]:
    names = {entry.name for _, entry in manifest.entries()}
    for path in dict.fromkeys([*keys, *(part.path for part, key in files if key.private)]):
        if path.stem not in names:
            yield finding("keys.stray", str(path), f"{MANIFEST} does not list it")
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
        yield from _usage(path, role, entry.state, known=path in keys)
        yield from _state(path, manifest, role, entry.state, entry.since)
        private = path.with_suffix(".key")
        if not manifest.development and private in keys:
            yield finding(
                "keys.plain",
                str(private),
                "the private key of a production profile is not encrypted",
            )


def _usage(path: Path, role: Role, state: KeyState, *, known: bool) -> Iterator[Finding]:
    """Say why a key of updates, applications or kernel modules is not one to sign them with."""
    if role in certificate.SIGNS_CODE and state is KeyState.ACTIVE and known:
        problem = cms.purpose_problem(certificate.read(path))
        if problem:
            remedy = f"bootseal keys rotate --role {role}"
            yield finding("keys.usage", str(path), f"it {problem}", remedy=remedy)


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
