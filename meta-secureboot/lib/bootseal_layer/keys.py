# SPDX-License-Identifier: MIT
"""The key directory as a build sees it: names and fingerprints, never a private key.

Spec: docs/keys.md of bootseal, schema bootseal.keys/1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA: Final = "bootseal.keys/1"
MANIFEST: Final = "keys.json"
# Keys that sign, or whose public halves get into what is built.
ROLES: Final = ("fit", "policy", "escrow")
# With a boot ROM, these as well.
FIRMWARE_ROLES: Final = ("mrk", "fw-trusted", "fw-nontrusted", "fw-soc", "fw-boot")
# With updates, this one as well.
UPDATE_ROLES: Final = ("update-ca",)
# With applications, this one as well.
APP_ROLES: Final = ("app",)
# With kernel modules that the build does not sign, this one as well.
MODULES_ROLES: Final = ("modules",)
# What is next to the private key, wherever that is.
_PUBLIC: Final = (".crt", ".pub")


class KeyDirectoryError(Exception):
    """The directory is not one that can sign; the message says why and what to type."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a build needs to know of a key directory.

    Attributes:
        development: Whether the keys are for development, and protect nothing.
        names: Name of the key by role.
        algorithms: Its algorithm by role, as U-Boot names it: `sha256,rsa4096`.
    """

    development: bool
    names: dict[str, str]
    algorithms: dict[str, str]


def manifest(directory: str, roles: Sequence[str] = ROLES) -> Manifest:
    """Read the list of keys.

    Args:
        directory: Value of BOOTSEAL_KEYS.
        roles: Those that must have a key, with its public files.

    Raises:
        KeyDirectoryError: There is none, or it is of another kind.
    """
    if not directory:
        raise KeyDirectoryError(
            "BOOTSEAL_KEYS is not set: it names the directory that `bootseal keys generate` made"
        )
    path = Path(directory) / MANIFEST
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise KeyDirectoryError(
            f"BOOTSEAL_KEYS is {directory}, and there are no keys. For trying things, make some:"
            f" bootseal keys generate --profile dev {directory}"
        ) from None
    except (OSError, ValueError) as error:
        raise KeyDirectoryError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise KeyDirectoryError(f"{path} is not of the schema {SCHEMA}")
    try:
        entries = document["keys"]
        if missing := [role for role in roles if role not in entries]:
            raise KeyDirectoryError(
                f"{path} lists no key for the role {missing[0]}. With the profile that it was made"
                f" from: bootseal keys generate --only {missing[0]} {directory}"
            )
        # Anything but a plain "no" is taken for the more dangerous answer.
        development = document["development"] is not False
        names = {role: str(entry["name"]) for role, entry in entries.items()}
        public = _public(names, roles)
        if lost := [each for each in public if not (Path(directory) / each).is_file()]:
            raise KeyDirectoryError(
                f"{path} lists a key whose {lost[0]} is missing: copy it from where the keys were"
                " made, or make others in a new directory with `bootseal keys generate`"
            )
        return Manifest(
            development=development,
            names=names,
            algorithms={role: str(entry["algorithm"]) for role, entry in entries.items()},
        )
    except (KeyError, TypeError) as error:
        raise KeyDirectoryError(f"{path} lacks {error}") from error


def name(directory: str, role: str) -> str:
    """Return the name of the key with a role.

    Raises:
        KeyDirectoryError: As `manifest`.
    """
    return manifest(directory, (role,)).names[role]


def algorithm(directory: str, role: str) -> str:
    """Return the algorithm of the key with a role, as U-Boot names it: `sha256,rsa4096`.

    Raises:
        KeyDirectoryError: As `manifest`.
    """
    return manifest(directory, (role,)).algorithms[role]


def checksums(directory: str, roles: Sequence[str] = ROLES) -> str:
    """List the public files that decide what a signature will be, as `file-checksums` wants them.

    The content of the keys is part of a task's hash with them; the private halves are not read.
    """
    files = (MANIFEST, *_public(manifest(directory, roles).names, roles))
    return " ".join(f"{directory}/{each}:True" for each in files)


def _public(names: Mapping[str, str], roles: Sequence[str]) -> list[str]:
    """Return the public files of the keys that sign, or whose public halves are built in."""
    return [f"{names[role]}{suffix}" for role in roles for suffix in _PUBLIC]
