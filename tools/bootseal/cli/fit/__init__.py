# SPDX-License-Identifier: MIT
"""`bootseal fit`: the commands about flattened image trees."""

from __future__ import annotations

from typing import Final

import typer

from bootseal.cli import lazy

_PLACES: Final = {
    "build": "bootseal.cli.fit.build:build",
    "sign": "bootseal.cli.fit.sign:sign",
    "verify": "bootseal.cli.fit.verify:verify",
    "show": "bootseal.cli.fit.show:show",
    "diff": "bootseal.cli.fit.diff:diff",
    "extract": "bootseal.cli.fit.extract:extract",
}

app = typer.Typer(
    cls=lazy.group(_PLACES),
    no_args_is_help=True,
    help="Assemble, sign, verify, show and compare FITs.",
)


@app.callback()
def _fit() -> None:
    """Keep every verb a verb of its own."""
