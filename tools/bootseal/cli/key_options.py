# SPDX-License-Identifier: MIT
"""Options about keys: how private ones are opened, and the pairs of a key and its certificate."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.cli.remote_keys import (
    ExportRequests,
    ImportSignatures,
    demand_one_step,
    export,
    of_directory,
    stand_in,
)
from bootseal.keys.signers.pin import PIN_FILE_VARIABLE, SecretSource
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.keys.cms import Certificate
    from bootseal.keys.profile import Role
    from bootseal.keys.signers.base import Access, Signer
    from bootseal.keys.signers.offline import Recorder

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateOptions:
    """The certificate that a device pins: it verifies signatures with this one, and no CA."""

    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Key directory with the key and its certificate."),
    ] = None
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="CRT", help="Certificate that the device has, if not that of --keys."),
    ] = None

    def pinned(self, role: Role) -> Certificate:
        """Return the certificate.

        Args:
            role: The key's role, by which it is found in a key directory.

        Raises:
            UsageError: None is named.
            FormatError: It cannot be read.
        """
        from bootseal.keys import certificate

        return certificate.read(
            self.certificate or of_directory(self.keys, role, "--certificate", ".crt")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedKeyOptions(CertificateOptions):
    """The key of such a certificate, which signs: here, or elsewhere in two steps."""

    key: Annotated[
        str | None,
        typer.Option(metavar="URI", help=f"Key that signs ({KEY_URI}), if not that of --keys."),
    ] = None
    export_requests: ExportRequests = None
    import_signatures: ImportSignatures = None

    def signing(
        self, role: Role, demand: Callable[[Certificate], None], access: Access
    ) -> tuple[Signer, Certificate, Recorder | None]:
        """Return who signs, their certificate, and in step 1 the signer again: it only records.

        Args:
            role: The key's role, by which it is found in a key directory.
            demand: Raises an error for a certificate that devices would not take.
            access: What opening the key may need.

        Raises:
            UsageError: Something is missing, or two things exclude each other.
            FormatError: A certificate or key cannot be read.
            BootsealError: What `demand` raises.
        """
        from bootseal.keys import certificate
        from bootseal.keys.signers import base

        demand_one_step(self.key, self.export_requests, self.import_signatures)
        found = self.pinned(role)
        demand(found)
        half = certificate.key_of(found)
        signer, recorder = stand_in(half, role, self.export_requests, self.import_signatures)
        if signer is None:
            uri = self.key or str(of_directory(self.keys, role, "--key", ".key"))
            signer = base.open(uri, access)
        return signer, found, recorder

    def finish(self, recorder: Recorder | None, subject: Path | str) -> None:
        """In step 1, write what is to be signed elsewhere."""
        if recorder is not None and self.export_requests is not None:
            export(self.export_requests, [recorder], subject)


def _ask(what: str) -> str:
    import getpass

    return getpass.getpass(f"{what[:1].upper()}{what[1:]}: ")
