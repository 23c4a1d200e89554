# SPDX-License-Identifier: MIT
"""`bootseal app show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.application import printing
from bootseal.cli.options import Json


def show(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image.")],
    *,
    as_json: Json = False,
) -> None:
    """Show what an application image declares, without verifying any of it.

    Example: bootseal app show hello_1.2.0_arm64.raw
    """
    from bootseal.app import image as images
    from bootseal.cli.inputs import naming
    from bootseal.findings.model import refuse

    with naming(image), images.opened(image) as disk:
        size, (found, findings) = disk.size, images.read(disk)
        if found is None:
            refuse(findings, "it is not an application image")
            return
    if as_json:
        console.emit_json(
            {"schema": printing.SCHEMA, "image": image.name, **printing.facts(found, size)}
        )
        return
    console.table(
        ("partition", "offset", "size", "GUID", "type"),
        [
            (each.name, f"{each.offset:#x}", each.size, each.uuid, each.type)
            for each in (found.root, found.verity, found.signature)
        ],
    )
    signed = found.signed
    console.say("root hash      {}", found.root_hash.hex())
    console.say("blocks         {} of 4096 bytes", found.superblock.blocks)
    console.say("signed with    {}", "nothing" if signed is None else signed.certificate)
    for each in findings:
        console.status("{} at {}: {}", each.id, each.where, each.message)
    console.status("Nothing was verified: bootseal app check IMAGE --certificate CRT")
