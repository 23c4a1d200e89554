# SPDX-License-Identifier: MIT
"""The options of every command that opens a private key."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.keys.signers.pin import PIN_FILE_VARIABLE, SecretSource

if TYPE_CHECKING:
    from bootseal.keys.signers.base import Access

_KEYS: Final = "PINs and tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretOptions:
    """Where the passphrase of a key file comes from."""

    pin_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar=PIN_FILE_VARIABLE,
            help="File with the PIN of a token or the passphrase of a key file; if left out, "
            "BOOTSEAL_PIN or BOOTSEAL_PASSPHRASE is used, or you are prompted.",
            rich_help_panel=_KEYS,
        ),
    ] = None

    def secret(self) -> SecretSource:
        """Return where secrets come from; questions are asked on a terminal only."""
        return SecretSource(file=self.pin_file, ask=_ask if sys.stdin.isatty() else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOptions(SecretOptions):
    """How private keys are opened; every command that signs has these options and no others."""

    module: Annotated[
        Path | None,
        typer.Option(
            metavar="LIBRARY",
            help="PKCS#11 library, if the URI does not name one.",
            rich_help_panel=_KEYS,
        ),
    ] = None

    def access(self) -> Access:
        """Return what opening a key may need; questions are asked on a terminal only."""
        from bootseal.keys.signers.base import Access

        return Access(secret=self.secret(), module=self.module)


def _ask(what: str) -> str:
    import getpass

    return getpass.getpass(f"{what[:1].upper()}{what[1:]}: ")
