# SPDX-License-Identifier: MIT
"""`bootseal fit extract`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import opened
from bootseal.cli.options import FitFile


def extract(
    fit: FitFile,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Name of the image.")],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File to write, which must not exist; - is standard output."
        ),
    ],
) -> None:
    """Write an image's data to a file, as stored, if it matches its hashes.

    This checks integrity only: signatures are not checked.

    Example: bootseal fit extract fit.itb kernel-1 -o Image.gz
    """
    from bootseal.files import write_new
    from bootseal.fit.extract import extract as payload_of
    from bootseal.formats.kinds.kind import FIT

    with opened(fit, FIT) as data:
        payload = payload_of(data, image)
        if str(output) == "-":
            sys.stdout.buffer.write(payload)
            return
        write_new(output, payload)
    said = "{!r} of {}: {} bytes match their hashes, signatures not checked"
    console.status(said, image, fit, len(payload))
