# SPDX-License-Identifier: MIT
"""`bootseal firmware sign`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import chain_keys, console
from bootseal.cli.inputs import naming, opened
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import pairs
from bootseal.cli.remote_keys import PANEL, ExportRequests, ImportSignatures, export, stand_ins
from bootseal.errors import UsageError
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootseal.firmware.chain import Key
    from bootseal.formats.fip import Fip
    from bootseal.keys.signers.base import Signer
    from bootseal.keys.signers.offline import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteKeys:
    """Keys of which this machine has the public half: two steps, with the signing in between."""

    public_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PEM",
            help="Public half of a key on another machine; may be repeated.",
            rich_help_panel=PANEL,
        ),
    ] = None
    export_requests: ExportRequests = None
    import_signatures: ImportSignatures = None

    def files(self) -> list[Path]:
        """Return the files with the public halves."""
        return [*map(Path, pairs("--public-key", self.public_key, "NAME=PEM").values())]

    def signers(self) -> tuple[dict[str, Signer], list[Recorder]]:
        """Return what acts as the signers by name, and those that only note what they are asked.

        Raises:
            UsageError: No step is named, or both are.
        """
        steps = [each for each in (self.export_requests, self.import_signatures) if each]
        if len(steps) != bool(self.public_key):
            raise UsageError(
                "keys on another machine need --public-key, and --export-requests or "
                "--import-signatures"
            )
        named = pairs("--public-key", self.public_key, "NAME=PEM")
        files = {name: Path(file) for name, file in named.items()}
        return stand_ins(files, self.import_signatures)


def sign(
    fip: Annotated[Path, typer.Argument(metavar="FIP", help="The FIP to sign.")],
    *,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            metavar="DIR",
            help="Key directory: its keys sign, unless --key names another.",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URI",
            help=f"A key ({KEY_URI}) for mrk, fw-trusted, fw-nontrusted, fw-soc or fw-boot; "
            "repeat for each.",
        ),
    ] = None,
    elsewhere: RemoteKeys,
    keys: KeyOptions,
    counter: Annotated[int, typer.Option(min=0, help="Trusted firmware counter.")] = 0,
    nt_counter: Annotated[int, typer.Option(min=0, help="Non-trusted firmware counter.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of over FIP.")
    ] = None,
) -> None:
    """Put the six certificates of TF-A's chain of trust into a FIP, and verify the result.

    RSA keys sign with RSASSA-PSS and SHA-256. Each key has one position in the chain; a key from a
    key directory only has that of its role.

    Example: bootseal firmware sign fip.bin --keys keys --counter 1 --nt-counter 1

    With a key on another machine: use --public-key mrk=mrk.pub --export-requests DIR instead, sign
    there as DIR/SUMMARY.txt says, then run the same with --import-signatures DIR.
    """
    from bootseal.firmware.chain import Counter
    from bootseal.firmware.sign import sign as sign_fip
    from bootseal.formats import fip as fips
    from bootseal.formats.kinds.kind import FIP

    counters = {Counter.TRUSTED: counter, Counter.NONTRUSTED: nt_counter}
    with opened(fip, FIP) as data:
        found = fips.parse(data)
        remote, recorders = elsewhere.signers()
        uris = pairs("--key", key, "NAME=URI")
        signers = chain_keys.signers(uris, remote, elsewhere.files(), directory, keys.access())
        signed = sign_fip(found, signers, counters)
    if elsewhere.export_requests is not None:
        export(elsewhere.export_requests, recorders, fip)
        return
    with naming(fip):
        _verify(fips.parse(signed), signers)
    console.write(output or fip, signed)
    for name, signer in signers.items():
        console.status("OK: {}: {} is {}", output or fip, name, signer.public_key.fingerprint())


def _verify(signed: Fip, signers: Mapping[Key, Signer]) -> None:
    from bootseal.findings.model import refuse
    from bootseal.firmware.chain import Key
    from bootseal.firmware.verify import check

    root = signers[Key.MRK].public_key.fingerprint()
    refuse(check(signed, root).findings, "the signed FIP does not verify")
