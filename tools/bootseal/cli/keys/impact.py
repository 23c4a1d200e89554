# SPDX-License-Identifier: MIT
"""`bootseal keys impact`: what trusts a key and what it signed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import Json

if TYPE_CHECKING:
    from bootseal.fit.key_usage import Trace


def impact(
    key: Annotated[
        str,
        typer.Argument(metavar="KEY", help="Fingerprint, or a PEM file with a key or certificate."),
    ],
    tree: Annotated[
        list[Path], typer.Argument(metavar="TREE...", help="Directories and files to search.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Find what trusts a key, what it has signed, and what replacing it requires.

    Example: bootseal keys impact keys/DEV-fit-1.crt device/
    """
    from bootseal.fit.key_usage import trace
    from bootseal.keys import published
    from bootseal.keys.directory import inspect
    from bootseal.keys.directory import rotate as rotation

    if rotation.is_fingerprint(key.lower()):
        found = trace(key.lower(), tree)
    else:
        public_key = inspect.show(Path(key)).public_key
        found = trace(public_key.fingerprint(), tree, key=public_key)
    print_trace(found, as_json=as_json)
    if origin := published.origin(found.fingerprint):
        console.status("PUBLISHED: anyone can sign with this key ({})", origin)


def print_trace(found: Trace, *, as_json: bool) -> None:
    """Print what was found, as a table or as one document."""
    if as_json:
        console.emit_json(
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
        console.table(
            ("file", "offset", "relation", "what"),
            [(use.path, f"{use.offset:#x}", use.relation, use.what) for use in found.uses],
        )
    for change in dict.fromkeys(use.change for use in found.uses if use.change):
        console.status("To change it: {}.", change)
    for path in found.skipped:
        console.status("SKIPPED: {} cannot be read", path)
    if found.public_key is None:
        console.status(
            "No file holds this key, so its signatures cannot be recognised: name its certificate."
        )
    console.status("{} uses of {} in {} files", len(found.uses), found.fingerprint, found.files)
