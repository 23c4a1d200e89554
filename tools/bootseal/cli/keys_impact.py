# SPDX-License-Identifier: MIT
"""`bootseal keys impact`: what trusts a key and what it signed."""

# Heavy modules are imported inside commands, and typer reads annotations at run time.

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import ui

if TYPE_CHECKING:
    from bootseal.fit.key_usage import Trace

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def impact(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Fingerprint, or a key or certificate file, PEM.")
    ],
    tree: Annotated[
        list[Path], typer.Argument(metavar="TREE", help="Directories and files to look through.")
    ],
    *,
    as_json: _Json = False,
) -> None:
    """Find what trusts a key and what it signed.

    Example: bootseal keys impact keys/DEV-fit-1.crt device/
    """
    from bootseal.fit.key_usage import trace
    from bootseal.keys import published
    from bootseal.keys.directory import inspect
    from bootseal.keys.directory import rotate as lifecycle

    if lifecycle.is_fingerprint(key.lower()):
        found = trace(key.lower(), tree)
    else:
        public_key = inspect.show(Path(key)).public_key
        found = trace(public_key.fingerprint(), tree, key=public_key)
    print_trace(found, as_json=as_json)
    if origin := published.origin(found.fingerprint):
        ui.status(f"PUBLISHED: anybody can sign with this key ({ui.untrusted(origin)})")


def print_trace(found: Trace, *, as_json: bool) -> None:
    """Print what was found, as a table or as one document."""
    if as_json:
        ui.emit_json(
            {
                "schema": "bootseal.key-impact/1",
                "fingerprint": found.fingerprint,
                "key_found": found.public_key is not None,
                "files": found.files,
                "skipped": list(found.skipped),
                "uses": [dataclasses.asdict(use) for use in found.uses],
            }
        )
    elif found.uses:
        ui.table(
            ("file", "offset", "relation", "what"),
            [
                (ui.untrusted(u.path), f"{u.offset:#x}", u.relation.value, ui.untrusted(u.what))
                for u in found.uses
            ],
        )
    for path in found.skipped:
        ui.status(f"SKIPPED: {ui.untrusted(path)} cannot be read")
    if found.public_key is None:
        ui.status("Nothing holds this key, so what it signed cannot be told: give its certificate.")
    ui.status(f"{len(found.uses)} uses of {found.fingerprint} in {found.files} files")
