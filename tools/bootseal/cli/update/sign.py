# SPDX-License-Identifier: MIT
"""`bootseal update sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import Json
from bootseal.cli.update import printing
from bootseal.cli.update.keys import SigningOptions


def sign(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle to sign.")],
    *,
    who: SigningOptions,
    opening: KeyOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of over BUNDLE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Replace the signature of a bundle.

    Every block is compared with the manifest first, but the previous signature is not checked: run
    update check if it matters.

    Example: bootseal update sign release.raucb --keys keys

    With the key on another machine: add --export-requests DIR, sign there as DIR/SUMMARY.txt says,
    then run the same with --import-signatures DIR.
    """
    from bootseal.cli.inputs import naming
    from bootseal.update import sign as signing_

    signing, recorder = who.signing(opening.access())
    with naming(bundle), console.TerminalProgress().step("every block of the bundle"):
        manifest = signing_.whole(bundle)
    if recorder is not None:
        signing.message(manifest)
        who.finish(signing, recorder, bundle)
        return
    signing_.sign(bundle, manifest, signing, output or bundle)
    printing.say(output or bundle, "signed", as_json=as_json)
