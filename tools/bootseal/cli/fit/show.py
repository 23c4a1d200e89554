# SPDX-License-Identifier: MIT
"""`bootseal fit show`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.fit import printing
from bootseal.cli.inputs import opened
from bootseal.cli.options import FitFile, Json


def show(
    fit: FitFile,
    *,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show for every node what is signed and what is not.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a FIT holds, without verifying it.

    Hashes are compared with the data; signatures are not checked, which `bootseal fit verify` does.
    Coverage is what the signatures protect if they are valid.

    Example: bootseal fit show fit.itb --coverage
    """
    from bootseal.fit.coverage import coverage as map_of
    from bootseal.fit.show import document
    from bootseal.formats.fit.model import parse
    from bootseal.formats.kinds.kind import FIT

    with opened(fit, FIT) as data:
        model = parse(data, lenient=True)
        covered = map_of(model)
    if as_json:
        shown = {"schema": "bootseal.fit/1"} | document(model)
        console.emit_json(shown | {"coverage": dataclasses.asdict(covered)})
        return
    printing.print_fit(model)
    if coverage:
        printing.print_coverage(covered)
    printing.print_totals(covered)
