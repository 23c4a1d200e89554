# SPDX-License-Identifier: MIT
"""What the commands share that sign bundles or check who did: keys and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli.inputs import now
from bootseal.cli.remote_keys import (
    ExportRequests,
    ImportSignatures,
    demand_one_step,
    export,
    of_directory,
    read_time,
    stand_in,
    write_time,
)
from bootseal.errors import UsageError
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from bootseal.keys.cms import Certificate
    from bootseal.keys.signers.base import Access
    from bootseal.keys.signers.offline import Recorder
    from bootseal.update.sign import Signing

_AGAIN = "bootseal update sign BUNDLE --export-requests DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityOptions:
    """The one authority for updates."""

    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Key directory: its update key signs, its update-ca must have certified it.",
        ),
    ] = None
    authority: Annotated[
        Path | None,
        typer.Option(metavar="CRT", help="Certificate of the update-ca, if not that of --keys."),
    ] = None

    def certificate_of_authority(self, device: Path | None = None) -> Certificate:
        """Return the certificate of the authority.

        Args:
            device: A device directory, whose own keys are taken where nothing is named.

        Raises:
            UsageError: None is named, or it may not certify.
            FormatError: It cannot be read.
        """
        from bootseal.keys import certificate
        from bootseal.keys.profile import Role

        directory = self.keys
        if self.authority is None and directory is None and device is not None:
            own = device / "keys"
            directory = own if own.is_dir() else None
        path = self.authority or of_directory(directory, Role.UPDATE_CA, "--authority", ".crt")
        found = certificate.read(path)
        if not certificate.is_authority(found):
            raise UsageError(
                f"{path} may not certify other keys: expected the certificate of an update-ca",
                hint="bootseal keys list DIR",
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningHereOptions(AuthorityOptions):
    """The key that signs bundles, here."""

    key: Annotated[
        str | None,
        typer.Option(metavar="URI", help=f"Update key ({KEY_URI}), if not that of --keys."),
    ] = None
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="CRT", help="Certificate of the update key, if not that of --keys."),
    ] = None

    def signing_here(self, access: Access) -> Signing:
        """Return who signs.

        Raises:
            UsageError: Something is missing.
            FormatError: A certificate or key cannot be read.
        """
        from bootseal.keys import certificate
        from bootseal.keys.profile import Role
        from bootseal.keys.signers import base
        from bootseal.update.sign import Signing

        found = certificate.read(self.path_of_certificate())
        authority = self.certificate_of_authority()
        uri = self.key or str(of_directory(self.keys, Role.UPDATE, "--key", ".key"))
        signer = base.open(uri, access)
        return Signing(signer=signer, certificate=found, authority=authority, when=now())

    def path_of_certificate(self) -> Path:
        """Return where the signer's certificate is.

        Raises:
            UsageError: Nothing names it.
        """
        from bootseal.keys.profile import Role

        return self.certificate or of_directory(self.keys, Role.UPDATE, "--certificate", ".crt")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOptions(SigningHereOptions):
    """The key that signs bundles: here, or elsewhere in two steps."""

    export_requests: ExportRequests = None
    import_signatures: ImportSignatures = None

    def signing(self, access: Access) -> tuple[Signing, Recorder | None]:
        """Return who signs, and in step 1 what only notes what it is asked to sign.

        Raises:
            UsageError: Something is missing, or two things exclude each other.
            FormatError: A certificate or key cannot be read.
            VerificationRefused: In step 1, the certificate is not one to sign updates with.
        """
        from bootseal.findings.model import refuse
        from bootseal.keys import certificate, cms
        from bootseal.keys.profile import Role
        from bootseal.update.sign import Signing

        demand_one_step(self.key, self.export_requests, self.import_signatures)
        path = self.path_of_certificate()
        found = certificate.read(path)
        half, authority = certificate.key_of(found), self.certificate_of_authority()
        requests, signatures = self.export_requests, self.import_signatures
        signer, recorder = stand_in(half, Role.UPDATE, requests, signatures)
        if signer is None:
            return self.signing_here(access), None
        if signatures is not None:
            when = read_time(signatures, "a bundle", _AGAIN)
            return Signing(signer=signer, certificate=found, authority=authority, when=when), None
        # Before anyone goes to the other machine.
        when = now()
        refuse(cms.check_signer(found, authority, when), f"{path} is not for updates")
        return Signing(signer=signer, certificate=found, authority=None, when=when), recorder

    def finish(self, signing: Signing, recorder: Recorder | None, subject: Path) -> None:
        """In step 1, write what is to be signed elsewhere."""
        if recorder is None or self.export_requests is None:
            return
        export(self.export_requests, [recorder], subject)
        write_time(self.export_requests, signing.when)
