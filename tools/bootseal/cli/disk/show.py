# SPDX-License-Identifier: MIT
"""`bootseal disk show`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.disk import printing
from bootseal.cli.options import DiskImage, Json, PolicyKey, TargetOptions
from bootseal.errors import FormatError, UsageError
from bootseal.findings.model import Severity

if TYPE_CHECKING:
    from bootseal.check.expected import Target
    from bootseal.disk.image import Disk


def show(
    image: DiskImage,
    *,
    target: TargetOptions,
    policy_key: PolicyKey = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Draw a to-scale coverage map.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --coverage: write the map as SVG.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --coverage: write the map as an HTML page."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the partitions of a disk, or a map of what protects each byte.

    The map takes a whole `disk check`, so that only what is signed is drawn as signed.

    Example: bootseal disk show build/device --coverage --svg map.svg
    """
    from bootseal.disk.image import opened

    if (svg or html) and not coverage:
        raise UsageError("--svg and --html without --coverage: there is nothing to draw")
    expected = target.expected(image, policy_key)
    with opened(expected.image) as disk:
        document = _coverage(disk, expected) if coverage else _partitions(disk, expected)
    if coverage:
        from bootseal.report.disk import write

        for kind, path in (("svg", svg), ("html", html)):
            if path is not None:
                write(document, kind, path)
    if as_json:
        console.emit_json(document)
    elif coverage:
        printing.print_map(document)
    else:
        printing.print_partitions(document)


def _coverage(disk: Disk, target: Target) -> dict[str, object]:
    from bootseal.check.disk import check
    from bootseal.check.document import verdict

    return verdict(disk, target, check(disk, target, console.TerminalProgress(), inside=False))


def _partitions(disk: Disk, target: Target) -> dict[str, object]:
    from bootseal.check import partitions
    from bootseal.disk.partitions import read as read_tables

    found = read_tables(disk, disk.size)
    if not found.copies:
        raise FormatError(f"{disk.name} has no partition table: {found.findings[-1].message}")
    problems = list(partitions.check(found, target.partitions))
    wrong = {f.where for f in problems if f.severity is not Severity.INFO}
    declared = {each.name for each in target.partitions}
    return {
        "schema": "bootseal.disk/2",
        "disk": {"name": disk.name.name, "size": disk.size, "guid": found.copies[0].header.disk},
        "partitions": [
            dataclasses.asdict(each)
            | {"declared": each.name in declared, "as_declared": each.name not in wrong}
            for each in found.entries
        ],
        "findings": [dataclasses.asdict(each) for each in problems],
    }
