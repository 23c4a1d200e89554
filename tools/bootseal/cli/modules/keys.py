# SPDX-License-Identifier: MIT
"""What the commands about kernel modules share: files, keys and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

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
    from collections.abc import Collection

    from bootseal.keys.cms import Certificate
    from bootseal.keys.signers.base import Access
    from bootseal.keys.signers.offline import Recorder
    from bootseal.modules.sign import Signing

Modules: TypeAlias = Annotated[
    list[Path],
    typer.Argument(metavar="MODULE|DIR...", help="Kernel modules, or directories with them."),
]


def counted(found: Collection[Path]) -> str:
    """Return how many modules there are, in words."""
    return f"{len(found)} kernel module{'' if len(found) == 1 else 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateOptions:
    """The certificate that the kernel has."""

    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Key directory, with a key of the role modules."),
    ] = None
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="CRT", help="Certificate that the kernel has, if not that of --keys."),
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

        return of_directory(self.keys, Role.MODULES, option, end)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOptions(CertificateOptions):
    """The key that signs modules: here, or elsewhere in two steps."""

    key: Annotated[
        str | None,
        typer.Option(metavar="URI", help=f"Key of the modules ({KEY_URI}), if not that of --keys."),
    ] = None
    export_requests: ExportRequests = None
    import_signatures: ImportSignatures = None

    def signing(self, access: Access) -> tuple[Signing, Recorder | None]:
        """Return who signs, and in step 1 what only notes what it is asked to sign.

        Raises:
            UsageError: Something is missing, two things exclude each other, or the certificate is
                not one to sign modules with.
            FormatError: A certificate or key cannot be read.
        """
        from bootseal.keys import certificate
        from bootseal.keys.profile import Role
        from bootseal.keys.signers import base
        from bootseal.modules.sign import Signing, demand_signer

        demand_one_step(self.key, self.export_requests, self.import_signatures)
        found = self.pinned()
        demand_signer(found)
        key = certificate.key_of(found)
        signer, recorder = stand_in(key, Role.MODULES, self.export_requests, self.import_signatures)
        if signer is None:
            signer = base.open(self.key or str(self._own("--key", ".key")), access)
        return Signing(signer=signer, certificate=found, asked=recorder is not None), recorder

    def finish(self, recorder: Recorder, subject: str) -> None:
        """In step 1, write what is to be signed elsewhere."""
        if self.export_requests is not None:
            export(self.export_requests, [recorder], subject)
