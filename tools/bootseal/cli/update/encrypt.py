# SPDX-License-Identifier: MIT
"""`bootseal update encrypt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.update.keys import SigningHereOptions


def encrypt(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="The bundle, made by update bundle.")
    ],
    *,
    recipient: Annotated[
        list[Path],
        typer.Option(
            metavar="CRT",
            help="Certificate of a device's RSA key, which can open the bundle; once for each.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="The bundle to write.")
    ],
    who: SigningHereOptions,
    opening: KeyOptions,
) -> None:
    """Encrypt a bundle for some devices, and sign it again.

    Each encryption uses a new key, which is part of what is signed: the update key is needed
    here. Every block is compared with the manifest first, but not who signed before: run update
    check on BUNDLE if it matters.

    The reference device and the layer's configuration of RAUC have no key to decrypt with: they
    take no encrypted bundles. See docs/updates.md.

    Example: bootseal update encrypt release.raucb --recipient dev-1.crt --keys keys -o dev-1.raucb
    """
    from bootseal.cli.inputs import naming
    from bootseal.keys import certificate, envelope
    from bootseal.update import crypt
    from bootseal.update import sign as signing_

    # Each once, whatever its file is called.
    recipients = {certificate.read(path): path for path in recipient}
    for found, path in recipients.items():
        envelope.demand_recipient(found, f"{path}")
    signing = who.signing_here(opening.access())
    progress = console.TerminalProgress()
    with naming(bundle), progress.step("every block of the bundle"):
        manifest = signing_.whole(bundle)
    crypt.encrypt(bundle, manifest, signing, [*recipients], output, progress)
    console.status(
        "OK: {}: encrypted for {} and signed. A device takes it only if its RAUC has the key of a "
        "recipient: the reference device has none.",
        output,
        "1 recipient" if len(recipients) == 1 else f"{len(recipients)} recipients",
    )
