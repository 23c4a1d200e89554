# SPDX-License-Identifier: MIT
"""`bootseal fit diff`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.fit import printing
from bootseal.cli.inputs import opened
from bootseal.cli.options import FitFile, Json


def diff(
    fit: FitFile,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="The FIT to compare it with.")],
    *,
    as_json: Json = False,
) -> None:
    """Show how two FITs differ: nodes, properties, and the data of images by digest.

    Example: bootseal fit diff old.itb new.itb
    """
    from bootseal.fit.diff import diff as compare
    from bootseal.formats.fit.model import parse
    from bootseal.formats.kinds.kind import FIT

    with opened(fit, FIT) as first:
        old = parse(first, lenient=True)
    with opened(other, FIT) as second:
        new = parse(second, lenient=True)
    changes = compare(old, new)
    if as_json:
        document = [dataclasses.asdict(change) for change in changes]
        console.emit_json({"schema": "bootseal.fit-diff/1", "changes": document})
    else:
        printing.print_changes(changes)
