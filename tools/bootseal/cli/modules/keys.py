# SPDX-License-Identifier: MIT
"""What the commands about kernel modules share: files, and the key that signs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Collection

    from bootseal.cli.key_options import CertifiedKeyOptions
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


def signing(who: CertifiedKeyOptions, access: Access) -> tuple[Signing, Recorder | None]:
    """Return who signs, and in step 1 what only notes what it is asked to sign.

    Raises:
        UsageError: Something is missing, two things exclude each other, or the certificate is
            not one to sign modules with.
        FormatError: A certificate or key cannot be read.
    """
    from bootseal.keys.profile import Role
    from bootseal.modules.sign import Signing, demand_signer

    signer, certificate, recorder = who.signing(Role.MODULES, demand_signer, access)
    return Signing(signer=signer, certificate=certificate, asked=recorder is not None), recorder
