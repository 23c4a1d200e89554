# SPDX-License-Identifier: MIT
"""`bootseal app sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.application import keys, printing
from bootseal.cli.key_options import CertifiedKeyOptions, KeyOptions
from bootseal.cli.options import Json


def sign(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image to sign.")],
    *,
    who: CertifiedKeyOptions,
    opening: KeyOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of over IMAGE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Replace the signature of an application image.

    The layout and every block are checked first, but not the contents of the image or its previous
    signature: run app check if these matter. In a key directory, the key with the role app signs.

    Example: bootseal app sign hello_1.2.0_arm64.raw --keys keys

    With the key on another machine: add --export-requests DIR, sign there as DIR/SUMMARY.txt says,
    then run the same with --import-signatures DIR.
    """
    from bootseal.app import sign as signing_
    from bootseal.cli.inputs import naming

    signing, recorder = keys.signing(who, opening.access())
    with naming(image), console.TerminalProgress().step("every block of the image"):
        found = signing_.whole(image)
    if recorder is not None:
        signing.partition(found.root_hash)
        who.finish(recorder, image)
        return
    signing_.sign(image, found, signing, output or image)
    printing.say(output or image, "signed", as_json=as_json)
