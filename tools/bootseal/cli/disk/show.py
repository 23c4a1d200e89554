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
    from bootseal.check.document import DiskReport
    from bootseal.check.expected import Expected
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
        if not coverage:
            _partitions(disk, expected, as_json=as_json)
            return
        found = _coverage(disk, expected)
    from bootseal.report.write import write_disk

    for kind, path in (("svg", svg), ("html", html)):
        if path is not None:
            write_disk(found, kind, path)
    if as_json:
        console.emit_json(found.document())
    else:
        printing.print_map(found)


def _coverage(disk: Disk, target: Expected) -> DiskReport:
    from bootseal.check.disk import check
    from bootseal.check.document import report

    return report(disk, target, check(disk, target, console.TerminalProgress(), inside=False))


def _partitions(disk: Disk, target: Expected, *, as_json: bool) -> None:
    from bootseal.check import partitions
    from bootseal.disk.partitions import read as read_tables

    found = read_tables(disk, disk.size)
    if not found.copies:
        raise FormatError(f"{disk.name} has no partition table: {found.findings[-1].message}")
    problems = list(partitions.check(found, target.partitions, target.disk_guid))
    wrong = {f.where for f in problems if f.severity is not Severity.INFO}
    declared = {each.name for each in target.partitions}
    if not as_json:
        printing.print_partitions(disk, found, declared, wrong)
        return
    guid = found.copies[0].header.disk
    console.emit_json(
        {
            "schema": "bootseal.disk/2",
            "disk": {"name": disk.name.name, "size": disk.size, "guid": guid},
            "partitions": [
                dataclasses.asdict(each)
                | {"declared": each.name in declared, "as_declared": each.name not in wrong}
                for each in found.entries
            ],
            "findings": [dataclasses.asdict(each) for each in problems],
        }
    )
