# SPDX-License-Identifier: MIT
"""`bootseal reference`: build the reference device."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.units import format_size

app = typer.Typer(no_args_is_help=True, help="Build the reference device.")


@app.callback()
def _reference() -> None:
    """Keep `build` a separate verb while it is the only one."""


@app.command()
def build(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory for the device; created, or rebuilt.")
    ],
    *,
    keys: Annotated[
        Path | None,
        typer.Option(help="Key directory to sign with, instead of development keys made in DIR."),
    ] = None,
    layer: Annotated[
        Path | None, typer.Option(help="The layer meta-secureboot.", envvar="BOOTSEAL_LAYER")
    ] = None,
    login: Annotated[bool, typer.Option(help="Offer a root shell on the serial console.")] = True,
    rollback_index: Annotated[
        int,
        typer.Option(
            help="Rollback index, 0 to 63: a device that has committed to it refuses lower ones."
        ),
    ] = 1,
    version: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Version of the release, with which jobs are compared; 1.0.0 if left out.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print device.json instead of a table.")
    ] = False,
) -> None:
    """Build a bootable device from Debian's packages and the layer's own files.

    The first build downloads about 100 MB and takes minutes; later ones take seconds.
    """
    from bootseal.reference.build import VERSION
    from bootseal.reference.build import build as build_device

    made = build_device(
        directory,
        progress=console.TerminalProgress(),
        layer=layer,
        keys=keys,
        login=login,
        rollback_index=rollback_index,
        version=version or VERSION,
    )
    if as_json:
        console.emit_json(dataclasses.asdict(made))
    else:
        rows = [
            (role, artefact.path, format_size(artefact.size), artefact.sha256)
            for role, artefact in made.artefacts.items()
        ]
        console.table(("Role", "File", "Size", "SHA-256"), rows, title=str(directory))
    if made.profile == "dev":
        console.status("Signed with DEV keys: a device that trusts them protects nothing.")
    console.status("Next: bootseal boot run {}", directory)
