# SPDX-License-Identifier: MIT
"""`bootseal report`: one page about a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import DeviceDir, Json
from bootseal.errors import UsageError, VerificationRefused

if TYPE_CHECKING:
    from bootseal.dossier.model import Dossier
    from bootseal.evidence.verify import Wanted


def report(
    directory: DeviceDir,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="HTML", help="Write the page here."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Public key that must have signed the evidence."),
    ] = None,
    release: Annotated[str, typer.Option(metavar="NAME", help="The release that it must be.")] = "",
    before: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The release before, to compare the boot matrix with."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one page about a release: chain, keys, findings, PCRs, boot matrix, SBOM, evidence.

    The disk is checked and the evidence verified. What is absent, or what no verified evidence
    names, is shown as such. DIR/approved.json and DIR/reports/matrix.json are taken if there.

    Exits with 0 if nothing is refused, and with 3 if something is: the page is written anyway.

    Example: bootseal report release -o report.html --key attestation.pub --release 2.1.0
    """
    from bootseal.dossier.collect import Asked, collect

    _check(directory, output, key, release, as_json=as_json)
    asked = Asked(directory=directory, wanted=_wanted(key, release), before=before)
    found = collect(asked, console.TerminalProgress())
    if output is not None:
        from bootseal.report.release_html import page

        console.write(output, page(found).encode())
    if as_json:
        console.emit_json(found.document())
    _conclude(found, directory)


def _wanted(key: Path | None, release: str) -> Wanted | None:
    if key is None:
        return None
    from bootseal.cli.evidence.keys import public_half
    from bootseal.evidence.verify import Wanted

    return Wanted(key=public_half(key), release=release)


def _check(
    directory: Path, output: Path | None, key: Path | None, release: str, *, as_json: bool
) -> None:
    if output is None and not as_json:
        raise UsageError("nothing is asked for: expected --output or --json")
    if release and key is None:
        raise UsageError("--release needs --key: what nobody signed has no name to rely on")
    from bootseal.evidence import listing

    inside = output is not None and output.resolve().is_relative_to(directory.resolve())
    if inside and (directory / listing.FOLDER).exists():
        raise UsageError(
            f"{output} is in the release, whose evidence does not name it: expected another place",
            hint=f"bootseal report {directory} -o report.html",
        )


def _conclude(found: Dossier, directory: Path) -> None:
    from bootseal.dossier.model import Standing

    for part in found.parts:
        if part.standing is not Standing.REFUSED:
            console.status("{}: {}: {}", part.title, part.standing, part.says)
    refused = [part for part in found.parts if part.standing is Standing.REFUSED]
    if refused:
        first = refused[0]
        raise VerificationRefused(f"{directory} is refused: {first.title}: {first.says}")
    console.status("OK: {}: {}", directory, found.standing)
