# SPDX-License-Identifier: MIT
"""`bootseal fit show`, `diff` and `extract`: looking at FITs without judging them."""

# Heavy modules are imported inside commands, and typer reads annotations at run time.

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import fit_text, ui
from bootseal.cli.fit_input import FitFile, Json, opened

_Other = Annotated[Path, typer.Argument(metavar="OTHER", help="The FIT to compare it with.")]


def show(
    fit: FitFile,
    *,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show for every node what is signed and what not.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a FIT holds, without judging it.

    Hashes are compared with the data; signatures are not checked: `bootseal fit verify` does that.
    Coverage is what the signatures protect if they are good.

    Example: bootseal fit show fit.itb --coverage
    """
    from bootseal.fit.coverage import coverage as map_of
    from bootseal.fit.show import describe
    from bootseal.formats.fit import model as fit_format

    with opened(fit) as data:
        view = describe(data)
        covered = map_of(fit_format.parse(data, lenient=True))
    if as_json:
        document = {"schema": "bootseal.fit/1"} | dataclasses.asdict(view)
        ui.emit_json(document | {"coverage": dataclasses.asdict(covered)})
        return
    fit_text.print_view(view)
    if coverage:
        fit_text.print_coverage(covered)
    fit_text.print_totals(covered)


def diff(fit: FitFile, other: _Other, *, as_json: Json = False) -> None:
    """Show how two FITs differ: nodes, properties, and the data of images by digest.

    Example: bootseal fit diff old.itb new.itb
    """
    from bootseal.fit.diff import diff as compare
    from bootseal.formats.fit.model import parse

    with opened(fit) as first:
        old = parse(first, lenient=True)
    with opened(other) as second:
        new = parse(second, lenient=True)
    changes = compare(old, new)
    if as_json:
        document = [dataclasses.asdict(change) for change in changes]
        ui.emit_json({"schema": "bootseal.fit-diff/1", "changes": document})
    else:
        fit_text.print_changes(changes)


def extract(
    fit: FitFile,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Name of the image.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write, which must not exist; or -.")
    ],
) -> None:
    """Write the data of an image to a file, as stored, if it matches its hashes.

    This is about integrity only: signatures are not checked.

    Example: bootseal fit extract fit.itb kernel-1 -o Image.gz
    """
    from bootseal.files import write_new
    from bootseal.fit.extract import extract as payload_of

    with opened(fit) as data:
        payload = payload_of(data, image)
        if str(output) == "-":
            sys.stdout.buffer.write(payload)
            return
        write_new(output, payload)
    name = f"{image!r} of {fit}: {len(payload)} bytes match their hashes, signatures not checked"
    ui.status(ui.untrusted(name))
