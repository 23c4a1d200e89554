# SPDX-License-Identifier: MIT
"""`bootseal update bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import Json
from bootseal.cli.update import printing
from bootseal.cli.update.keys import SigningOptions
from bootseal.errors import UsageError


def bundle(
    device: Annotated[
        Path, typer.Argument(metavar="DEVICE", help="Build directory with a device.json.")
    ],
    *,
    version: Annotated[
        str, typer.Option(metavar="TEXT", help="Version of the release, such as 2.1.0.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="The bundle to write.")
    ],
    who: SigningOptions,
    opening: KeyOptions,
    compatible: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Devices that the bundle is for; the device's name if left out."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Make an update bundle from the disk of a build directory, and sign it.

    Root, hash tree and boot partition are those of the first slot; they suit every slot. The
    same disk, version and signing time (SOURCE_DATE_EPOCH) give the same bytes with an RSA key.

    Example: bootseal update bundle build/device --version 2.1.0 --keys keys -o release.raucb

    With the key on another machine: add --export-requests DIR, sign there as DIR/SUMMARY.txt says,
    then finish with bootseal update sign release.raucb --import-signatures DIR.
    """
    from bootseal.check import expected
    from bootseal.update import build

    if who.import_signatures is not None:
        raise UsageError(
            "--import-signatures finishes an existing bundle",
            hint=f"bootseal update sign {output} --import-signatures {who.import_signatures}",
        )
    target = expected.of_device(device)
    signing, recorder = who.signing(opening.access())
    if target.device is None:
        raise UsageError(f"{device} has no device.json")
    identity = build.Identity(
        compatible=compatible or target.device.name, version=version, epoch=target.device.epoch
    )
    build.build(target, identity, output, signing.message, console.TerminalProgress())
    printing.say(output, "made, to be signed" if recorder else "made and signed", as_json=as_json)
    who.finish(signing, recorder, output)
