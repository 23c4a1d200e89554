# SPDX-License-Identifier: MIT
"""`bootseal app build`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.application import keys, printing
from bootseal.cli.key_options import CertifiedKeyOptions, KeyOptions
from bootseal.cli.options import Json
from bootseal.errors import UsageError


def build(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|TAR",
            help="Root of the application: a directory, or a tar archive such as the only layer "
            "of an OCI image, plain, .gz or .zst.",
        ),
    ],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="Its name, such as hello.")],
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="Version of the application, such as 1.2.0.")
    ],
    entry: Annotated[
        str, typer.Option(metavar="PATH", help="The program that a device starts: /usr/bin/hello.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="IMAGE", help="The image to write: hello_1.2.0_arm64.raw."
        ),
    ],
    who: CertifiedKeyOptions,
    opening: KeyOptions,
    everything: Annotated[
        bool, typer.Option("--all", help="Print every finding, not only warnings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build the signed image of an application, which a device can verify at each start.

    The application's contents are checked first. Files belong to root and have no extended
    attributes; their time is SOURCE_DATE_EPOCH, or else 1970. The same files, name, version and
    entry give the same bytes, with an RSA key or a key file. In a key directory, the key with the
    role app signs.

    Example: bootseal app build root --name hello --version 1.2.0 --entry /usr/bin/hello
    --keys keys -o hello_1.2.0_arm64.raw

    With the key on another machine: add --export-requests DIR, sign there as DIR/SUMMARY.txt says,
    then finish with bootseal app sign IMAGE --import-signatures DIR.
    """
    from bootseal.app import build as building
    from bootseal.cli.disk.printing import print_findings
    from bootseal.cli.inputs import now
    from bootseal.formats.app.release import Release

    if who.import_signatures is not None:
        raise UsageError(
            "--import-signatures finishes an existing image",
            hint=f"bootseal app sign {output} --import-signatures {who.import_signatures}",
        )
    application = building.Application(
        source=source,
        release=Release(name=name, version=version),
        entry=entry,
        epoch=now() if "SOURCE_DATE_EPOCH" in os.environ else 0,
    )
    signing, recorder = keys.signing(who, opening.access())
    progress = console.TerminalProgress()
    found = building.build(application, output, signing.partition, progress)
    if not as_json:
        print_findings(found, everything=everything)
    what = "made, to be signed" if recorder else "made and signed"
    printing.say(output, what, as_json=as_json)
    who.finish(recorder, output)
