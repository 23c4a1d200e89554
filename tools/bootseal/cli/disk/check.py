# SPDX-License-Identifier: MIT
"""`bootseal disk check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.disk import printing
from bootseal.cli.options import DiskImage, Json, PolicyKey
from bootseal.cli.target_options import TargetOptions
from bootseal.errors import FormatError, VerificationRefused

if TYPE_CHECKING:
    from bootseal.check.disk import DiskVerdict
    from bootseal.check.expected import Expected
    from bootseal.check.rootfs.allowlist import Allowlist
    from bootseal.disk.image import Disk


def check(
    image: DiskImage,
    *,
    target: TargetOptions,
    policy_key: PolicyKey = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Print every finding, not only errors and warnings.")
    ] = False,
    inside: Annotated[
        bool, typer.Option(help="Also check the contents of the file systems.")
    ] = True,
    allow: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML", help="Allowlist: what root file systems may hold beyond the usual."
        ),
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings as SARIF.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings as JUnit XML.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write an HTML page with the findings and the map."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a disk image: layout, chain of trust, and the programs that its roots start.

    The last line says what was checked and what was not.

    Exits with 0 if there are no errors, with 3 if there are, and with 4 if it is not a disk image
    at all.

    Example: bootseal disk check build/device

    A disk image on its own: bootseal disk check disk.wic.gz --dtb u-boot.bin --layout disk.wks
    """
    from bootseal.check.disk import check as check_disk
    from bootseal.disk.image import opened

    expected = target.expected(image, policy_key)
    allowlist = None if allow is None else _allowlist(allow)
    files = [(k, p) for k, p in (("sarif", sarif), ("junit", junit), ("html", html)) if p]
    with opened(expected.image) as disk:
        progress = console.TerminalProgress()
        verdict = check_disk(disk, expected, progress, inside=inside, allowlist=allowlist)
        if files or as_json:
            _report(disk, expected, verdict, files, as_json=as_json)
    if not as_json:
        printing.print_findings(verdict.findings, everything=everything)
    for area in verdict.areas:
        console.status(
            "NOT SIGNED: {} at {:#x}: not verified here; a boot ROM may verify it",
            area.name,
            area.start,
        )
    refuse(verdict, image)
    console.status("OK: {} is accepted. {}", image, verdict.summary(inside=inside))


def _allowlist(path: Path) -> Allowlist:
    from bootseal.check.rootfs.allowlist import load

    return load(path)


def _report(
    disk: Disk,
    target: Expected,
    verdict: DiskVerdict,
    files: Sequence[tuple[str, Path]],
    *,
    as_json: bool,
) -> None:
    """Write the verdict to files, each in its format, and to standard output."""
    from bootseal.check.document import report
    from bootseal.report.write import write_disk

    found = report(disk, target, verdict)
    for kind, path in files:
        write_disk(found, kind, path)
    if as_json:
        console.emit_json(found.document())


def refuse(verdict: DiskVerdict, image: Path) -> None:
    """End the command when a disk is refused.

    Raises:
        FormatError: It is not a disk image.
        VerificationRefused: It has errors; the message names the first.
    """
    if not verdict.errors:
        return
    first, count = verdict.errors[0], len(verdict.errors)
    more = f" (and {count - 1} more)" if count > 1 else ""
    message = f"{image} is refused: {first.id} at {first.where}: {first.message}{more}"
    if not verdict.table.copies:
        raise FormatError(message, hint=first.remedy)
    raise VerificationRefused(message, hint=first.remedy)
