# SPDX-License-Identifier: MIT
"""Options for keys in tokens, shared by every command that signs."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.keys.profile import Role
    from bootseal.keys.signers.pin import SecretSource

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
KeysDir: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="A directory made by `keys generate`.")
]
DeviceDir: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="Build directory with a device.json.")
]
ApprovedList: TypeAlias = Annotated[
    Path, typer.Option("--list", "-l", metavar="LIST", help="The approved list.")
]
PinFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="File with the PIN of a token or the passphrase of a key file; else BOOTSEAL_PIN or "
        "BOOTSEAL_PASSPHRASE is used, or you are asked."
    ),
]


def secret_source(pin_file: Path | None) -> SecretSource:
    """Return where secrets come from; a question is asked on a terminal only."""
    from bootseal.keys.signers.pin import SecretSource

    def ask(what: str) -> str:
        return getpass.getpass(f"{what[:1].upper()}{what[1:]}: ")

    return SecretSource(file=pin_file, ask=ask if sys.stdin.isatty() else None)


def role(name: str) -> Role:
    """Return the role of this name.

    Raises:
        UsageError: There is none.
    """
    from bootseal.keys.profile import Role

    try:
        return Role(name)
    except ValueError:
        raise UsageError(f"unknown role {name!r}: expected one of {', '.join(Role)}") from None


def pairs(option: str, values: list[str] | None, first: str) -> dict[str, str]:
    """Split values of the form `NAME=SOURCE`.

    Raises:
        UsageError: One is not, or a name comes twice.
    """
    found: dict[str, str] = {}
    for value in values or []:
        name, separator, source = value.partition("=")
        if not separator or not name or not source:
            raise UsageError(f"{option}: expected {first}=SOURCE")
        if name in found:
            raise UsageError(f"{option}: {name!r} was given before")
        found[name] = source
    return found
