# SPDX-License-Identifier: MIT
"""`bootseal evidence sbom`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import DeviceDir


def sbom(
    directory: DeviceDir,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write here instead of to DIR/sbom.spdx.json; - is standard output.",
        ),
    ] = None,
) -> None:
    """Write the bill of materials of a device, SPDX 3.0.1 in JSON: what device.json says.

    Every input and artefact with its digest, what is inside of what, whose key signed, and the CPEs
    of what the device starts from. Licences are left open.

    Example: bootseal evidence sbom build/device
    """
    from bootseal import device as devices
    from bootseal.evidence import sbom as bills

    device = devices.load(directory)
    target = output or directory / bills.FILE_NAME
    digest = devices.digest_file(directory / devices.FILE_NAME)
    console.write(target, bills.of_device(device, digest))
    files, inputs = len(device.artefacts), len(device.inputs)
    console.status("OK: {}: {} artefacts, {} inputs", target, files, inputs)
