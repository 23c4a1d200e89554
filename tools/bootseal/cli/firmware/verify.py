# SPDX-License-Identifier: MIT
"""`bootseal firmware verify`."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.cli import console
from bootseal.cli.inputs import opened, read
from bootseal.cli.options import FipFile, Json
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.firmware.verify import FirmwareVerdict

_HASH: Final = re.compile(r"[0-9a-f]{64}")


def verify(
    fip: FipFile,
    *,
    mrk: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Master root key, its public half.")
    ] = None,
    mrk_hash: Annotated[
        str | None,
        typer.Option(
            metavar="HEX",
            help="Instead: the hash in the ROM, SHA-256 of the key's SubjectPublicKeyInfo in DER.",
        ),
    ] = None,
    counter: Annotated[
        int, typer.Option(min=0, help="Refuse a trusted firmware counter below this.")
    ] = 0,
    nt_counter: Annotated[
        int, typer.Option(min=0, help="Likewise the non-trusted firmware counter.")
    ] = 0,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show what is signed, byte range by byte range.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a FIP against a master root key: every certificate, every image, every other byte.

    Exits with 0 if the chain leads from the key to BL2, BL31 and BL33 and nothing else is in the
    FIP; with 3 if it does not, and with 4 if a byte outside of the images is not as it must be.

    Example: bootseal firmware verify fip.bin --mrk mrk.pub
    """
    from bootseal.findings.model import refuse
    from bootseal.firmware.chain import Counter
    from bootseal.firmware.verify import check
    from bootseal.formats import fip as fips
    from bootseal.formats.kinds.kind import FIP

    root_hash = _root_hash(mrk, mrk_hash)
    least = {Counter.TRUSTED: counter, Counter.NONTRUSTED: nt_counter}
    with opened(fip, FIP) as data:
        verdict = check(fips.parse(data), root_hash, least)
    if as_json:
        console.emit_json(_document(verdict, root_hash))
    else:
        _print(verdict, coverage=coverage)
    refuse(verdict.findings, f"{fip} is refused")
    console.status("OK: {} is verified: master root key {}", fip, root_hash)


def _root_hash(mrk: Path | None, mrk_hash: str | None) -> str:
    from bootseal.formats.kinds.kind import PUBLIC_KEY
    from bootseal.keys.public import from_pem

    if (mrk is None) == (mrk_hash is None):
        raise UsageError(
            "expected either --mrk or --mrk-hash", hint="bootseal firmware verify FIP --mrk PEM"
        )
    if mrk is not None:
        return from_pem(read(mrk, PUBLIC_KEY)).fingerprint()
    wanted = str(mrk_hash).lower()
    if not _HASH.fullmatch(wanted):
        raise UsageError("--mrk-hash: expected the 64 hexadecimal digits of a SHA-256")
    return wanted


def _document(verdict: FirmwareVerdict, root_hash: str) -> dict[str, object]:
    return {
        "schema": "bootseal.firmware-verdict/1",
        "accepted": not verdict.findings,
        "root_hash": root_hash,
        "findings": [dataclasses.asdict(each) for each in verdict.findings],
        "keys": dict(verdict.keys),
        "counters": {each.name.lower(): value for each, value in verdict.counters.items()},
        "regions": [dataclasses.asdict(each) for each in verdict.regions],
    }


def _print(verdict: FirmwareVerdict, *, coverage: bool) -> None:
    for key, fingerprint in verdict.keys.items():
        console.say("{}  {}", fingerprint, key)
    for counter, value in verdict.counters.items():
        console.say("{} counter {}", counter.name.lower(), value)
    for region in verdict.regions if coverage else ():
        place = f"{region.start:#x} to {region.end:#x}"
        console.say("  {}: {}, {}", place, region.name, region.state)
    for finding in verdict.findings:
        console.say("[red]{}[/] {} {}: {}", "error", finding.id, finding.where, finding.message)
