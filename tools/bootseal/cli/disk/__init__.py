# SPDX-License-Identifier: MIT
"""`bootseal disk`: the commands about finished disk images."""

from __future__ import annotations

from typing import Final

import typer

from bootseal.cli import lazy

_PLACES: Final = {
    "check": "bootseal.cli.disk.check:check",
    "show": "bootseal.cli.disk.show:show",
    "prove": "bootseal.cli.disk.prove:prove",
    "sign": "bootseal.cli.disk.sign:sign",
    "diff": "bootseal.cli.disk.diff:diff",
    "sign-requests": "bootseal.cli.disk.sign_requests:sign_requests",
}

app = typer.Typer(
    cls=lazy.group(_PLACES),
    no_args_is_help=True,
    help="Check, compare and sign finished disk images, without root and without booting them.",
)


@app.callback()
def _disk() -> None:
    """Keep every verb a verb of its own."""
