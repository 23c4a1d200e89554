# SPDX-License-Identifier: MIT
"""`bootseal measure`: the commands about measured boot."""

from __future__ import annotations

from typing import Final

import typer

from bootseal.cli import lazy

_PLACES: Final = {
    "predict": "bootseal.cli.measure.predict:predict",
    "sign": "bootseal.cli.measure.sign:sign",
    "log": "bootseal.cli.measure.log:log",
    "approve": "bootseal.cli.measure.approve:approve",
    "revoke": "bootseal.cli.measure.revoke:revoke",
    "export": "bootseal.cli.measure.export:export",
}

app = typer.Typer(
    cls=lazy.group(_PLACES),
    no_args_is_help=True,
    help="Predict what a boot measures, and approve it.",
)


@app.callback()
def _measure() -> None:
    """Keep every verb a verb of its own."""
