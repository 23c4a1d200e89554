# SPDX-License-Identifier: MIT
"""`bootseal firmware build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import read
from bootseal.cli.options import pairs


def build(
    *,
    image: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FILE",
            help="An image, by fiptool's name: tb-fw (BL2), soc-fw (BL31), nt-fw (BL33, "
            "U-Boot) ...; may be repeated.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FIP", help="The FIP to write.")
    ],
    align: Annotated[
        str, typer.Option(metavar="SIZE", help="Align every image, as fiptool's --align does.")
    ] = "1",
) -> None:
    """Assemble a FIP, byte for byte as fiptool does. Nothing is signed.

    Example: bootseal firmware build --image tb-fw=bl2.bin --image soc-fw=bl31.bin
    --image nt-fw=u-boot.bin -o fip.bin
    """
    from bootseal import files
    from bootseal.formats import fip
    from bootseal.formats.kinds.kind import FIRMWARE
    from bootseal.units import parse_size

    named = pairs("--image", image, "NAME=FILE")
    images = {
        name: read(Path(file), FIRMWARE, limit=files.BOOT_LOADER) for name, file in named.items()
    }
    made = fip.emit(images, alignment=parse_size(align))
    console.write(output, made)
    console.status("OK: {} holds {} in {} bytes, unsigned", output, ", ".join(images), len(made))
