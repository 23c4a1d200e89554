# SPDX-License-Identifier: MIT
"""`bootseal disk show`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.disk import printing
from bootseal.cli.disk.options import DiskImage, Layout, PolicyKey, UBoot, target_of
from bootseal.cli.options import Json
from bootseal.errors import FormatError, UsageError
from bootseal.findings.model import Severity

if TYPE_CHECKING:
    from bootseal.check.expected import Target
    from bootseal.disk.image import Disk


def show(
    image: DiskImage,
    *,
    dtb: UBoot = None,
    layout: Layout = None,
    policy_key: PolicyKey = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Draw what protects each byte, to scale.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --coverage: write it as SVG.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --coverage: write it as a page.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the partitions of a disk, or draw what protects each byte of it.

    The drawing needs the whole judgement of `disk check`; nothing is drawn as signed that is not.

    Example: bootseal disk show build/device --coverage --svg map.svg
    """
    from bootseal.disk.image import opened

    if (svg or html) and not coverage:
        raise UsageError("--svg and --html without --coverage: there is nothing to draw")
    target = target_of(image, dtb, layout, policy_key)
    with opened(target.image) as disk:
        document = _coverage(disk, target) if coverage else _partitions(disk, target)
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

    found = partitions.read(disk, disk.size)
    if not found.copies:
        raise FormatError(f"{disk.name} has no partition table: {found.findings[-1].message}")
    problems = [*found.findings, *partitions.check(found, target.partitions)]
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
