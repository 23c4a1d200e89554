# SPDX-License-Identifier: MIT
"""`bootseal disk`: the commands about finished disk images."""

from __future__ import annotations

from typing import Final

import typer

from bootseal.cli import lazy

_PLACES: Final = {
    "check": "bootseal.cli.disk_check:check",
    "show": "bootseal.cli.disk_show:show",
    "prove": "bootseal.cli.disk_prove:prove",
    "sign": "bootseal.cli.disk_sign:sign",
    "diff": "bootseal.cli.disk_diff:diff",
    "sign-requests": "bootseal.cli.disk_requests:sign_requests",
}

app = typer.Typer(
    cls=lazy.group(_PLACES),
    no_args_is_help=True,
    help="Judge finished disk images, without root and without booting them.",
)


@app.callback()
def _disk() -> None:
    """Keep every verb a verb of its own."""
