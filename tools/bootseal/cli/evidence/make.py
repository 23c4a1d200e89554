# SPDX-License-Identifier: MIT
"""`bootseal evidence make`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.evidence.keys import SigningOptions
from bootseal.cli.inputs import read
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import DeviceDir, Json
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.evidence.sources import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What says which repositories a build came from."""

    kas: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="What kas dump --format json --resolve-refs --resolve-local printed.",
        ),
    ] = None
    source: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The git checkout that `reference build` ran in."),
    ] = None

    def sources(self, directory: Path) -> Sources:
        """Return the repositories that a device directory came from.

        Raises:
            UsageError: None of the options is given, or both are.
            FormatError: What it names is not what `kas dump` prints, or not such a checkout.
        """
        from bootseal import device as devices
        from bootseal.evidence import sources
        from bootseal.formats.kinds.kind import DOCUMENT

        if (self.kas is None) == (self.source is None):
            raise UsageError(
                "nothing says which repositories the build came from: expected --kas or --source, "
                "one of them"
            )
        if self.kas is not None:
            return sources.of_kas(read(self.kas, DOCUMENT), str(self.kas))
        return sources.of_checkout(self.source or Path(), devices.load(directory))


def make(
    directory: DeviceDir,
    *,
    release: Annotated[str, typer.Option(metavar="NAME", help="Name of the release.")],
    builder: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="The platform that built it and its boundary of trust, such as a URI of the "
            "CI's protected runners; SLSA's builder.id.",
        ),
    ],
    who: SigningOptions,
    opening: KeyOptions,
    origin: SourceOptions,
    invocation: Annotated[
        str, typer.Option(metavar="ID", help="What the platform calls the run, such as its URL.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Make the evidence of a release: signed statements about all files of a device directory.

    Written to DIR/evidence, replacing what was there. Every file in DIR goes with the release but
    those in keys, logs, matrix, state and tpm: put bundle, reports and what `evidence sbom` writes
    there first.

    Example: bootseal evidence make build/device --release 2.1.0 --keys keys --kas kas.json
    --builder https://ci.example.com/release

    With the key on another machine: add --public-key and --export-requests DIR, sign there as
    DIR/SUMMARY.txt says, then run the same with --import-signatures DIR.
    """
    from bootseal.evidence import make as evidence

    signer, recorder, when = who.signing(opening.access())
    request = evidence.Request(
        directory=directory,
        release=release,
        builder=builder,
        invocation=invocation,
        sources=origin.sources(directory),
        created=when,
    )
    progress = console.TerminalProgress()
    with progress.step("every file read and compared with device.json"):
        made = evidence.payloads(request)
    if recorder is not None:
        evidence.request_all(made, recorder)
        who.finish(recorder, when, directory)
        return
    with progress.step("statements signed, written and verified"):
        evidence.write(request, made, signer)
    if as_json:
        console.emit_json(
            {
                "schema": "bootseal.evidence-made/1",
                "release": release,
                "key": signer.public_key.fingerprint(),
                "statements": {n: hashlib.sha256(each).hexdigest() for n, each in made.items()},
            }
        )
    console.status(
        "OK: {}: release {}, {} statements signed by {}",
        directory / "evidence",
        release,
        len(made),
        signer.public_key.fingerprint(),
    )
