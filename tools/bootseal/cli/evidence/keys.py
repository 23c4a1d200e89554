# SPDX-License-Identifier: MIT
"""The key that signs evidence, here or elsewhere, and the public half that verifies it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli.inputs import now, read
from bootseal.cli.remote_keys import (
    PANEL,
    ExportRequests,
    ImportSignatures,
    export,
    read_time,
    stand_ins,
    write_time,
)
from bootseal.errors import UsageError
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Access, Signer
    from bootseal.keys.signers.offline import Recorder

_AGAIN = "bootseal evidence make DIR --export-requests NEW-DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOptions:
    """The key with the role `attestation`: here, or elsewhere in two steps."""

    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Key directory: its attestation key signs."),
    ] = None
    key: Annotated[
        str | None,
        typer.Option(metavar="URI", help=f"Attestation key ({KEY_URI})."),
    ] = None
    public_key: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM", help="Public half of the attestation key.", rich_help_panel=PANEL
        ),
    ] = None
    export_requests: ExportRequests = None
    import_signatures: ImportSignatures = None

    def signing(self, access: Access) -> tuple[Signer, Recorder | None, int]:
        """Return who signs, in step 1 what only notes what it is asked to sign, and the time.

        Raises:
            UsageError: Something is missing, or two things exclude each other.
            FormatError: A key cannot be read.
        """
        steps = [each for each in (self.export_requests, self.import_signatures) if each]
        named = sum(each is not None for each in (self.keys, self.key, self.public_key))
        if named != 1 or len(steps) != (self.public_key is not None):
            raise UsageError(
                "expected --keys, --key, or --public-key with --export-requests or "
                "--import-signatures"
            )
        if self.public_key is None:
            return self._here(access), None, now()
        role = "attestation"
        signers, recorders = stand_ins({role: self.public_key}, self.import_signatures)
        if self.import_signatures is not None:
            return signers[role], None, read_time(self.import_signatures, "evidence", _AGAIN)
        return signers[role], recorders[0], now()

    def finish(self, recorder: Recorder, when: int, subject: Path) -> None:
        """In step 1, write what is to be signed elsewhere."""
        if self.export_requests is not None:
            export(self.export_requests, [recorder], subject)
            write_time(self.export_requests, when)

    def _here(self, access: Access) -> Signer:
        from bootseal.keys.directory import directory as key_directory
        from bootseal.keys.profile import Role
        from bootseal.keys.signers import base

        if self.keys is None:
            return base.open(str(self.key), access)
        listed = key_directory.list_keys(self.keys)
        if Role.ATTESTATION not in {each.role for each in listed.keys}:
            raise UsageError(
                f"{self.keys} holds no key with the role {Role.ATTESTATION.value!r}",
                hint=f"bootseal keys generate {self.keys} --profile {listed.profile} "
                f"--only {Role.ATTESTATION}",
            )
        return key_directory.signer(self.keys, Role.ATTESTATION, access)


def public_half(path: Path) -> PublicKey:
    """Read the key that must have signed evidence.

    Raises:
        UsageError: There is no such file.
        FormatError: It is not a public key.
    """
    from bootseal.formats.kinds.kind import PUBLIC_KEY
    from bootseal.keys.public import from_pem

    return from_pem(read(path, PUBLIC_KEY))
