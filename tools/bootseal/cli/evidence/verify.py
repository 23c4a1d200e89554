# SPDX-License-Identifier: MIT
"""`bootseal evidence verify`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.disk.printing import print_findings
from bootseal.cli.evidence.keys import public_half
from bootseal.cli.options import Json

if TYPE_CHECKING:
    from bootseal.evidence.verify import Verdict


def verify(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A release, with its evidence in DIR/evidence.")
    ],
    *,
    key: Annotated[
        Path,
        typer.Option(metavar="PEM", help="Public key that must have signed."),
    ],
    release: Annotated[
        str, typer.Option(metavar="NAME", help="The release that it must be; any if left out.")
    ] = "",
    device: Annotated[
        str, typer.Option(metavar="NAME", help="The device it must be for; any if left out.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Verify the evidence of a release without a network: who signed it, and every file.

    Says what is missing, changed, superfluous, signed by another key, or of another release. An
    older release is only told from the one that you mean if --release names that.

    Exits with 0 if there are no errors, and with 3 if there are.

    Example: bootseal evidence verify release --key attestation.pub --release 2.1.0
    """
    from bootseal.evidence import verify as evidence
    from bootseal.findings.model import refuse

    wanted = evidence.Wanted(key=public_half(key), release=release, device=device)
    with console.TerminalProgress().step("every file and statement"):
        verdict = evidence.verify(directory, wanted)
    if as_json:
        _emit(directory, verdict)
    else:
        print_findings(verdict.findings, everything=False)
    refuse(verdict.findings, f"{directory} is refused")
    if verdict.release is not None:
        console.status(
            "OK: {} is release {} for {}: {} files, {} statements. Checked: who signed, and that "
            "files and statements are those that were signed. Not checked: {}whether a device "
            "starts them (bootseal disk check)",
            directory,
            verdict.release.predicate.name,
            verdict.release.predicate.device,
            len(verdict.release.subject),
            len(verdict.statements) + 1,
            "" if release else "whether it is an older release than you mean (--release NAME); ",
        )


def _emit(directory: Path, verdict: Verdict) -> None:
    about = None if verdict.release is None else verdict.release.predicate
    console.emit_json(
        {
            "schema": "bootseal.evidence-verdict/1",
            "accepted": not verdict.errors,
            "directory": directory.name,
            "release": about and about.name,
            "device": about and about.device,
            "created": about and about.created,
            "files": 0 if verdict.release is None else len(verdict.release.subject),
            "statements": sorted(verdict.statements),
            "findings": [dataclasses.asdict(each) for each in verdict.findings],
        }
    )
