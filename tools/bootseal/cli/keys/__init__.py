# SPDX-License-Identifier: MIT
"""`bootseal keys`: the commands about keys."""

from __future__ import annotations

from typing import Final

import typer

from bootseal.cli import lazy

_PLACES: Final = {
    "generate": "bootseal.cli.keys.generate:generate",
    "list": "bootseal.cli.keys.list:list_",
    "show": "bootseal.cli.keys.show:show",
    "rotate": "bootseal.cli.keys.rotate:rotate",
    "revoke": "bootseal.cli.keys.revoke:revoke",
    "impact": "bootseal.cli.keys.impact:impact",
    "export": "bootseal.cli.keys.export:export",
    "audit": "bootseal.cli.keys.audit:audit",
}

app = typer.Typer(
    cls=lazy.group(_PLACES), no_args_is_help=True, help="Generate, rotate, revoke and audit keys."
)


@app.callback()
def _keys() -> None:
    """Keep every verb a verb of its own."""
