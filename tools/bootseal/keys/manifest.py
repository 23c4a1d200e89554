# SPDX-License-Identifier: MIT
"""`keys.json`: which role each key of a directory has or had (schema `bootseal.keys/1`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from bootseal.errors import BootsealError, FormatError, UsageError
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.profile import NAME, Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
                    "it signs nothing any more",
                    hint=f"sign with the {role} key: bootseal keys list {path.parent}",
                )


def containing(path: Path) -> Manifest | None:
    """Return the manifest of the key directory a file lies in, if it lies in one.

    Raises:
        FormatError: There is one and it is not valid.
    """
    directory = path.resolve().parent
    return read_manifest(directory) if (directory / MANIFEST).exists() else None


def manifest_json(manifest: Manifest) -> bytes:
    """Write the document as JSON text."""
    document: dict[str, object] = {
        "schema": SCHEMA,
        "profile": manifest.profile,
        "development": manifest.development,
        "keys": {role.value: _document(entry) for role, entry in manifest.keys.items()},
    }
    if manifest.former:
        document["former"] = [
            {"role": role.value} | _document(entry) for role, entry in manifest.former
        ]
    return json.dumps(document, indent=2).encode() + b"\n"


def read_manifest(directory: Path) -> Manifest:
    """Read the document of a key directory.

    Raises:
        UsageError: The directory has none.
        FormatError: It is not valid.
    """
    path = directory / MANIFEST
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA:
            raise FormatError(f"schema is {document['schema']!r}: expected {SCHEMA!r}")
        return Manifest(
            profile=str(document["profile"]),
            development=document["development"] is True,
            keys={Role(role): _entry(entry) for role, entry in document["keys"].items()},
            former=tuple(
                (Role(entry["role"]), _entry(entry)) for entry in document.get("former", ())
            ),
        )
    except NotADirectoryError:
        raise UsageError(f"{directory} is a file: expected a key directory") from None
    except FileNotFoundError:
        raise UsageError(
            f"{directory} holds no {MANIFEST}, so it is not a key directory",
            hint=f"bootseal keys generate {directory}",
        ) from None
    except BootsealError as error:
        raise FormatError(f"{path}: {error.message}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is not a {SCHEMA} document: {error!r}") from error


def _document(entry: KeyEntry) -> dict[str, str]:
    document = {
        "name": entry.name,
        "algorithm": entry.algorithm.name,
        "fingerprint": entry.fingerprint,
    }
    if entry.state is not KeyState.ACTIVE:
        document |= {"state": entry.state.value, "since": entry.since, "reason": entry.reason}
    return document


def _entry(entry: Mapping[str, object]) -> KeyEntry:
    name = str(entry["name"])
    if not NAME.fullmatch(name):
        raise FormatError(f"{name!r} is not the name of a key")
    return KeyEntry(
        name=name,
        algorithm=Algorithm.parse(str(entry["algorithm"])),
        fingerprint=str(entry["fingerprint"]),
        state=KeyState(str(entry.get("state", KeyState.ACTIVE))),
        since=str(entry.get("since", "")),
        reason=str(entry.get("reason", "")),
    )
