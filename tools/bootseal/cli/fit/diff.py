# SPDX-License-Identifier: MIT
"""`bootseal fit diff`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import opened
from bootseal.cli.options import FitFile, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.fit.diff import FitChange


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
        _print_changes(changes)


def _print_changes(changes: Sequence[FitChange]) -> None:
    """Print one line for each difference."""
    for change in changes:
        where = f"{change.path} {change.name}".rstrip()
        if change.before:
            console.say("[red]-[/] {}: {}", where, change.before)
        if change.after:
            console.say("[green]+[/] {}: {}", where, change.after)
    if not changes:
        console.say("no differences")
