# SPDX-License-Identifier: MIT
"""`bootseal disk diff`: what changed between two releases."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from bootseal.cli import console
from bootseal.cli.options import Json

if TYPE_CHECKING:
    from bootseal.check.diff import Side

_Disk: TypeAlias = Annotated[
    Path, typer.Argument(metavar="IMAGE|DIR", help="Build directory, or a disk image.")
]


def diff(first: _Disk, second: _Disk, *, as_json: Json = False) -> None:
    """Compare two disks: partitions, U-Boot's keys, FITs, command lines, root hashes, files.

    U-Boot's keys are compared if both are build directories. Nothing is checked: a difference may
    be intended. The exit code is 0 either way.

    Example: bootseal disk diff build/1.0 build/1.1
    """
    from bootseal.check.diff import diff as compare

    keys = first.is_dir() and second.is_dir()
    with ExitStack() as stack:
        sides = [_side(path, stack, keys=keys) for path in (first, second)]
        changes = list(compare(*sides))
    if as_json:
        console.emit_json(
            {"schema": "bootseal.disk-diff/1", "changes": [asdict(change) for change in changes]}
        )
        return
    if changes:
        rows = [
            [text or "-" for text in (c.part, c.where, c.name, c.before, c.after)] for c in changes
        ]
        console.table(["Part", "Where", "What", "First", "Second"], rows)
    console.status("{} differences", len(changes))


def _side(path: Path, stack: ExitStack, *, keys: bool) -> Side:
    from bootseal import device as devices
    from bootseal.check.diff import Side
    from bootseal.disk.image import opened
    from bootseal.files import BOOT_LOADER, read_bounded

    if not path.is_dir():
        return Side(disk=stack.enter_context(opened(path)))
    device = devices.load(path)
    control = read_bounded(device.artefact(path, "bios"), limit=BOOT_LOADER) if keys else None
    disk = stack.enter_context(opened(device.artefact(path, "disk")))
    return Side(disk=disk, control=control)
