# SPDX-License-Identifier: MIT
"""The authority that certifies devices: its certificate, and its key here or on another machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from bootseal.cli.remote_keys import ExportRequests, ImportSignatures, export, stand_in
from bootseal.errors import UsageError
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from bootseal.cli.key_options import KeyOptions
    from bootseal.keys.identity import Authority
    from bootseal.keys.signers.base import Signer
    from bootseal.keys.signers.offline import Recorder

AuthorityFile: TypeAlias = Annotated[
    Path, typer.Option("--ca", metavar="PEM", help="Certificate of the CA, device-ca.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityOptions:
    """Where the authority's key is; on another machine, its public half is in the certificate."""

    key: Annotated[
        str | None,
        typer.Option(metavar="URI", help=f"Key of the CA ({KEY_URI})."),
    ] = None
    export_requests: ExportRequests = None
    import_signatures: ImportSignatures = None

    def signer(self, authority: Authority, keys: KeyOptions) -> tuple[Signer, list[Recorder]]:
        """Return what signs, and what only notes what it is asked.

        Raises:
            UsageError: Not exactly one way to sign is named, or the key cannot be opened.
        """
        from bootseal.keys import identity as certificates
        from bootseal.keys.profile import Role
        from bootseal.keys.signers import base as signers

        ways = (self.key, self.export_requests, self.import_signatures)
        if sum(each is not None for each in ways) != 1:
            raise UsageError("expected one of --key, --export-requests and --import-signatures")
        half = certificates.authority_key(authority)
        requests, signatures = self.export_requests, self.import_signatures
        signer, recorder = stand_in(half, Role.DEVICE_CA, requests, signatures)
        if signer is None:
            return signers.open(str(self.key), keys.access()), []
        return signer, [] if recorder is None else [recorder]

    def exported(self, recorders: list[Recorder], subject: str) -> bool:
        """In the first step, write what is to be signed; return whether this was it."""
        if self.export_requests is None:
            return False
        export(self.export_requests, recorders, subject)
        return True
