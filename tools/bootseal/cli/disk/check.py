# SPDX-License-Identifier: MIT
"""`bootseal disk check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.disk import printing
from bootseal.cli.disk.options import DiskImage, Layout, PolicyKey, UBoot, target_of
from bootseal.cli.options import Json
from bootseal.errors import FormatError, VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.check.disk import Judgement
    from bootseal.check.expected import Target
    from bootseal.check.rootfs.allowlist import Policy
    from bootseal.disk.image import Disk


def check(
    image: DiskImage,
    *,
    dtb: UBoot = None,
    layout: Layout = None,
    policy_key: PolicyKey = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Print every finding, not only errors and warnings.")
    ] = False,
    inside: Annotated[bool, typer.Option(help="Also look at what the file systems hold.")] = True,
    allow: Annotated[
        Path | None,
        typer.Option(metavar="TOML", help="What root file systems may hold beyond the usual."),
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings as SARIF.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings as JUnit XML.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with findings and map.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge a disk image: its layout, and a signature over every byte that will run.

    Ends with exit code 0 when there is no error, with 3 when there is one, and with 4 when the
    image is no disk at all.

    Example: bootseal disk check build/device

    A disk on its own: bootseal disk check disk.wic.gz --dtb u-boot.bin --layout disk.wks
    """
    from bootseal.check.disk import check as judge
    from bootseal.disk.image import opened

    target = target_of(image, dtb, layout, policy_key)
    policy = None if allow is None else _policy(allow)
    files = [(k, p) for k, p in (("sarif", sarif), ("junit", junit), ("html", html)) if p]
    with opened(target.image) as disk:
        judged = judge(disk, target, console.TerminalProgress(), inside=inside, policy=policy)
        if files or as_json:
            _report(disk, target, judged, files, as_json=as_json)
    if not as_json:
        printing.print_findings(judged.findings, everything=everything)
    refuse(judged, image)
    console.status(
        f"OK: {console.untrusted(str(image))} is accepted: every byte that runs is signed"
    )


def _policy(path: Path) -> Policy:
    from bootseal.check.rootfs.allowlist import load

    return load(path)


def _report(
    disk: Disk,
    target: Target,
    judged: Judgement,
    files: Sequence[tuple[str, Path]],
    *,
    as_json: bool,
) -> None:
    """Write the verdict to files by their kind, and to standard output."""
    from bootseal.check.document import verdict
    from bootseal.report.disk import write

    document = verdict(disk, target, judged)
    for kind, path in files:
        write(document, kind, path)
    if as_json:
        console.emit_json(document)


def refuse(judged: Judgement, image: Path) -> None:
    """End the command when a disk is refused.

    Raises:
        FormatError: It is no disk.
        VerificationRefused: It has errors; the message names the first.
    """
    if not judged.errors:
        return
    first, count = judged.errors[0], len(judged.errors)
    more = f" (and {count - 1} more)" if count > 1 else ""
    message = f"{image} is refused: {first.id} at {first.where}: {first.message}{more}"
    if not judged.table.copies:
        raise FormatError(message, hint=first.remedy)
    raise VerificationRefused(message, hint=first.remedy)
