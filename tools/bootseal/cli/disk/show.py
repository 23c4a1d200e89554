# SPDX-License-Identifier: MIT
"""`bootseal disk show`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.disk import printing
from bootseal.cli.options import DiskImage, Json, PolicyKey
from bootseal.cli.target_options import TargetOptions
from bootseal.errors import FormatError, UsageError
from bootseal.findings.model import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.check.document import DiskReport
    from bootseal.check.expected import Expected
    from bootseal.check.firmware import Held
    from bootseal.disk.image import Disk
    from bootseal.disk.partitions import Table
    from bootseal.findings.model import Finding
    from bootseal.formats.mbr import MbrPartition


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

    Without a layout or a build directory to compare with, they are printed as they are, including
    those of an MBR. The map runs a whole `disk check`, so that only what is signed is drawn as
    signed.

    Example: bootseal disk show build/device --coverage --svg map.svg
    """
    from bootseal.disk.image import opened

    if (svg or html) and not coverage:
        raise UsageError("--svg and --html without --coverage: there is nothing to draw")
    if not coverage and target.layout is None and image.is_file():
        with opened(image) as disk:
            _any_disk(disk, as_json=as_json)
        return
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


def _any_disk(disk: Disk, *, as_json: bool) -> None:
    """Print the partitions of a disk that nothing is declared of."""
    from bootseal.disk.partitions import read as read_tables
    from bootseal.formats import mbr
    from bootseal.formats.kinds import recognise as kinds
    from bootseal.formats.kinds.kind import DISK

    found = read_tables(disk, disk.size)
    if found.copies:
        if as_json:
            console.emit_json(_document(disk, found, found.findings))
        else:
            printing.print_partitions(disk, found)
            printing.print_banks(_banks(disk, found))
        for problem in found.findings:
            console.status("WARNING: {}", problem.message)
        return
    if found.findings[0].id != "disk.mbr-table":
        kinds.check(disk.read(0, min(disk.size, kinds.HEAD)), DISK, str(disk.name))
        raise FormatError(f"{disk.name} has no partition table: {found.findings[-1].message}")
    partitions = mbr.read(disk.read)
    if as_json:
        console.emit_json(_document(disk, found, found.findings, mbr=partitions))
    else:
        printing.print_mbr(disk, partitions)


def _banks(disk: Disk, table: Table) -> list[Held]:
    """Return what the banks hold that do not leave the disk."""
    from bootseal.check.firmware import held

    inner = tuple(entry for entry in table.entries if entry.end <= disk.size)
    return held(disk, dataclasses.replace(table, entries=inner))


def _document(
    disk: Disk, table: Table, problems: Sequence[Finding], mbr: Sequence[MbrPartition] = ()
) -> dict[str, object]:
    guid = table.copies[0].header.disk if table.copies else ""
    banks = [dataclasses.asdict(each) for each in _banks(disk, table)]
    return ({"banks": banks} if banks else {}) | {
        "schema": "bootseal.disk/2",
        "disk": {"name": disk.name.name, "size": disk.size, "guid": guid},
        "table": "gpt" if table.copies else "mbr",
        "partitions": [dataclasses.asdict(each) for each in mbr or table.entries],
        "findings": [dataclasses.asdict(each) for each in problems],
    }


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
        printing.print_banks(_banks(disk, found))
        return
    compared = [
        dataclasses.asdict(each)
        | {"declared": each.name in declared, "as_declared": each.name not in wrong}
        for each in found.entries
    ]
    console.emit_json(_document(disk, found, problems) | {"partitions": compared})
