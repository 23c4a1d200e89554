# SPDX-License-Identifier: MIT
"""`bootseal boot`: the commands that boot a device in QEMU."""

from __future__ import annotations

from typing import Final

import typer

from bootseal.cli import lazy

_PLACES: Final = {
    "run": "bootseal.cli.boot.run:run",
    "matrix": "bootseal.cli.boot.matrix:matrix",
}

app = typer.Typer(
    cls=lazy.group(_PLACES), no_args_is_help=True, help="Run a device in QEMU, and attack it there."
)


@app.callback()
def _boot() -> None:
    """Keep every verb a verb of its own."""
