# SPDX-License-Identifier: MIT
"""`bootseal app check`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.application import printing
from bootseal.cli.disk.printing import print_findings
from bootseal.cli.key_options import CertificateOptions
from bootseal.cli.options import Json

if TYPE_CHECKING:
    from bootseal.app.check import AppVerdict


def check(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image to check.")],
    *,
    trusted: CertificateOptions,
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The application that the image must hold; any if left out."
        ),
    ] = "",
    inside: Annotated[
        bool, typer.Option(help="Also check the contents of the application.")
    ] = True,
    everything: Annotated[
        bool, typer.Option("--all", help="Print every finding, not only errors and warnings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check an application image: its signature, each of its bytes, and its contents.

    The signature is verified first, with the one given certificate; then every block; then the
    contents, with those checks of a root file system that apply to an application. In a key
    directory, the certificate is that of the key with the role app.

    Exits with 0 if there are no errors, with 3 if there are, and with 4 if it is not an image.

    Example: bootseal app check hello_1.2.0_arm64.raw --keys keys
    """
    from bootseal.app import check as app_check
    from bootseal.cli.inputs import naming
    from bootseal.findings.model import refuse
    from bootseal.keys.profile import Role

    wanted = app_check.Wanted(certificate=trusted.pinned(Role.APP), name=name, inside=inside)
    with naming(image):
        verdict = app_check.check(image, wanted, console.TerminalProgress())
    if as_json:
        _emit(image, verdict)
    else:
        print_findings(verdict.findings, everything=everything)
    refuse(verdict.findings, f"{image} is refused")
    console.status("OK: {} is accepted. {}", image, verdict.summary())


def _emit(image: Path, verdict: AppVerdict) -> None:
    known = {} if verdict.image is None else printing.facts(verdict.image, verdict.size)
    console.emit_json(
        {
            "schema": "bootseal.app-verdict/1",
            "accepted": not verdict.errors,
            "image": image.name,
            **known,
            **printing.declared(verdict.declared),
            "findings": [dataclasses.asdict(each) for each in verdict.findings],
        }
    )
