# SPDX-License-Identifier: MIT
"""What the commands share that sign applications or check who did: keys and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli.remote_keys import (
    ExportRequests,
    ImportSignatures,
    demand_one_step,
    export,
    of_directory,
    stand_in,
)
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from bootseal.app.sign import Signing
    from bootseal.keys.cms import Certificate
    from bootseal.keys.signers.base import Access
    from bootseal.keys.signers.offline import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateOptions:
    """The certificate that devices have."""

    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Key directory, with a key of the role app."),
    ] = None
    certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="CRT",
            help="Certificate that devices have, if not that of --keys.",
        ),
    ] = None

    def pinned(self) -> Certificate:
        """Return the certificate.

        Raises:
            UsageError: None is named.
            FormatError: It cannot be read.
        """
        from bootseal.keys import certificate

        return certificate.read(self.certificate or self._own("--certificate", ".crt"))

    def _own(self, option: str, end: str) -> Path:
        from bootseal.keys.profile import Role

        return of_directory(self.keys, Role.APP, option, end)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOptions(CertificateOptions):
    """The key that signs applications: here, or elsewhere in two steps."""

    key: Annotated[
        str | None,
        typer.Option(metavar="URI", help=f"Application key ({KEY_URI}), if not that of --keys."),
    ] = None
    export_requests: ExportRequests = None
    import_signatures: ImportSignatures = None

    def signing(self, access: Access) -> tuple[Signing, Recorder | None]:
        """Return who signs, and in step 1 what only notes what it is asked to sign.

        Raises:
            UsageError: Something is missing, or two things exclude each other.
            FormatError: A certificate or key cannot be read.
            VerificationRefused: The certificate is not one to sign applications with.
        """
        from bootseal.app.sign import Signing
        from bootseal.findings.model import refuse
        from bootseal.keys import cms, public
        from bootseal.keys.profile import Role
        from bootseal.keys.signers import base

        demand_one_step(self.key, self.export_requests, self.import_signatures)
        found = self.pinned()
        refuse(cms.check_purpose(found), "the certificate is not for applications")
        key = public.from_crypto(found.public_key())
        signer, recorder = stand_in(key, Role.APP, self.export_requests, self.import_signatures)
        if signer is None:
            signer = base.open(self.key or str(self._own("--key", ".key")), access)
        return Signing(signer=signer, certificate=found, asked=recorder is not None), recorder

    def finish(self, recorder: Recorder | None, subject: Path) -> None:
        """In step 1, write what is to be signed elsewhere."""
        if recorder is not None and self.export_requests is not None:
            export(self.export_requests, [recorder], subject)
