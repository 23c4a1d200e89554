# SPDX-License-Identifier: MIT
"""`keys.json`: which role each key of a directory has or had (schema `bootseal.keys/1`)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import FormatError, UsageError
from bootseal.files import resolved
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.profile import NAME, Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.keys.public import PublicKey

SCHEMA: Final = "bootseal.keys/1"
MANIFEST: Final = "keys.json"


class KeyState(StrEnum):
    """What a key may still do."""

    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """One key.

    Attributes:
        name: File stem and key-name-hint.
        algorithm: As declared.
        fingerprint: SHA-256 of its SubjectPublicKeyInfo in hex.
        state: `retired` keys sign for devices that do not know the next one yet; `revoked` ones
            sign nothing.
        since: Day of the state, ISO 8601; empty for active keys.
        reason: Why it was revoked.
    """

    name: str
    algorithm: Algorithm
    fingerprint: str
    state: KeyState = KeyState.ACTIVE
    since: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole document; `former` are keys that lost their role to another, oldest first."""

    profile: str
    development: bool
    keys: dict[Role, KeyEntry]
    former: tuple[tuple[Role, KeyEntry], ...] = ()

    def entries(self) -> Iterator[tuple[Role, KeyEntry]]:
        """Every key, those with a role first."""
        yield from self.keys.items()
        yield from self.former

    def refuse_revoked(self, public_key: PublicKey, path: Path) -> None:
        """Refuse to sign with a revoked key, whatever its file is called now.

        Raises:
            UsageError: It was revoked.
        """
        fingerprint = public_key.fingerprint()
        for role, entry in self.entries():
            if entry.fingerprint == fingerprint and entry.state is KeyState.REVOKED:
                raise UsageError(
                    f"the key {path} was revoked on {entry.since} ({entry.reason}): "
                    "it no longer signs anything",
                    hint=f"sign with the {role} key: bootseal keys list {path.parent}",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Former(KeyEntry):
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    schema: str = SCHEMA
    profile: str
    development: bool
    keys: dict[Role, KeyEntry]
    former: tuple[_Former, ...] = ()


def containing(path: Path) -> Manifest | None:
    """Return the manifest of the key directory that a file is in, None if it is not in one.

    Raises:
        FormatError: There is one and it is not valid.
    """
    directory = resolved(path).parent
    return read_manifest(directory) if (directory / MANIFEST).exists() else None


def manifest_json(manifest: Manifest) -> bytes:
    """Write the document as JSON text."""
    document: dict[str, object] = {
        "schema": SCHEMA,
        "profile": manifest.profile,
        "development": manifest.development,
        "keys": {role: _members(entry) for role, entry in manifest.keys.items()},
    }
    if manifest.former:
        document["former"] = [{"role": role} | _members(entry) for role, entry in manifest.former]
    return documents.dump(document)


def read_manifest(directory: Path) -> Manifest:
    """Read the document of a key directory.

    Raises:
        UsageError: The directory has none.
        FormatError: It is not valid.
    """
    path = directory / MANIFEST
    try:
        found = documents.load(_Document, path, texts={Algorithm: Algorithm.parse})
    except NotADirectoryError:
        raise UsageError(f"{directory} is a file: expected a key directory") from None
    except FileNotFoundError:
        raise UsageError(
            f"{directory} holds no {MANIFEST}, so it is not a key directory",
            hint=f"bootseal keys generate {directory}",
        ) from None
    manifest = Manifest(
        profile=found.profile,
        development=found.development,
        keys=found.keys,
        former=tuple(
            (
                each.role,
                KeyEntry(**{field.name: getattr(each, field.name) for field in fields(KeyEntry)}),
            )
            for each in found.former
        ),
    )
    for _, entry in manifest.entries():
        if not NAME.fullmatch(entry.name):
            raise FormatError(f"{path}: {entry.name!r} is not the name of a key")
    return manifest


def _members(entry: KeyEntry) -> dict[str, str]:
    """Return an entry as it is written: state, day and reason only of keys that have left it."""
    members = {
        "name": entry.name,
        "algorithm": entry.algorithm.name,
        "fingerprint": entry.fingerprint,
    }
    if entry.state is not KeyState.ACTIVE:
        members |= {"state": entry.state, "since": entry.since, "reason": entry.reason}
    return members
