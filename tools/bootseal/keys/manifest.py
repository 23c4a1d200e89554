# SPDX-License-Identifier: MIT
"""`keys.json`: which role each key of a directory has (schema `bootseal.keys/1`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import BootsealError, FormatError, UsageError
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.profile import NAME, Role

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA: Final = "bootseal.keys/1"
MANIFEST: Final = "keys.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key: file stem, declared algorithm, and SHA-256 of its SubjectPublicKeyInfo in hex."""

    name: str
    algorithm: Algorithm
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole document."""

    profile: str
    development: bool
    keys: dict[Role, Entry]


def manifest_json(manifest: Manifest) -> bytes:
    """Write the document as JSON text."""
    keys = {
        role.value: {
            "name": entry.name,
            "algorithm": entry.algorithm.name,
            "fingerprint": entry.fingerprint,
        }
        for role, entry in manifest.keys.items()
    }
    document = {
        "schema": SCHEMA,
        "profile": manifest.profile,
        "development": manifest.development,
        "keys": keys,
    }
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
        )
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{directory} holds no {MANIFEST}, so it is not a key directory",
            hint=f"bootseal keys generate {directory}",
        ) from None
    except BootsealError as error:
        raise FormatError(f"{path}: {error.message}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is not a {SCHEMA} document: {error!r}") from error


def _entry(entry: dict[str, object]) -> Entry:
    name = str(entry["name"])
    if not NAME.fullmatch(name):
        raise FormatError(f"{name!r} is not the name of a key")
    return Entry(
        name=name,
        algorithm=Algorithm.parse(str(entry["algorithm"])),
        fingerprint=str(entry["fingerprint"]),
    )
