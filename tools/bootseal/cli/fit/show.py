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
    from bootseal.fit.show import describe
    from bootseal.formats.fit import model as fit_format
    from bootseal.formats.kinds.kind import FIT

    with opened(fit, FIT) as data:
        view = describe(data)
        covered = map_of(fit_format.parse(data, lenient=True))
    if as_json:
        document = {"schema": "bootseal.fit/1"} | dataclasses.asdict(view)
        console.emit_json(document | {"coverage": dataclasses.asdict(covered)})
        return
    printing.print_view(view)
    if coverage:
        printing.print_coverage(covered)
    printing.print_totals(covered)
