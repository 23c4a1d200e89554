# SPDX-License-Identifier: MIT
"""`bootseal keys export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import KeysDir, pairs
from bootseal.errors import UsageError


def export(
    directory: KeysDir,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Directory to create.")],
    *,
    form: Annotated[
        str, typer.Option("--for", help="Program that will read the directory: mkimage.")
    ] = "mkimage",
    signer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URI", help="URI of the private key of NAME, if it is not in DIR."
        ),
    ] = None,
) -> None:
    """Write the FIT keys as `mkimage -k` and OE's UBOOT_SIGN_KEYDIR expect them.

    Example: bootseal keys export keys oe-keys --signer "fit-1=pkcs11:token=release;object=fit-1"
    """
    from bootseal.keys.directory.export import for_mkimage

    if form != "mkimage":
        raise UsageError(f"--for {form!r}: expected mkimage")
    signers = pairs("--signer", signer, "NAME=URI")
    names = for_mkimage(directory, output, signers=signers)
    console.status("OK: {} holds {}", output, ", ".join(names))
