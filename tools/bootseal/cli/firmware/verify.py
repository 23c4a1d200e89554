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
from bootseal.errors import UsageError, VerificationRefused

if TYPE_CHECKING:
    from bootseal.firmware.prove import RegionProof
    from bootseal.firmware.verify import FirmwareVerdict

_HASH: Final = re.compile(r"[0-9a-f]{64}")


def verify(
    fip: FipFile,
    *,
    mrk: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Public half of the master root key.")
    ] = None,
    mrk_hash: Annotated[
        str | None,
        typer.Option(
            metavar="HEX",
            help="Instead of --mrk: the hash in the ROM, SHA-256 of the key's "
            "SubjectPublicKeyInfo in DER.",
        ),
    ] = None,
    counter: Annotated[
        int, typer.Option(min=0, help="Refuse a trusted firmware counter below this.")
    ] = 0,
    nt_counter: Annotated[
        int, typer.Option(min=0, help="Refuse a non-trusted firmware counter below this.")
    ] = 0,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show what protects each byte range.")
    ] = False,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove",
            help="Change the FIP in memory, bit by bit, and check that each change is refused.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="With --prove: seed for the choice of bits.")] = 0,
    as_json: Json = False,
) -> None:
    """Check a FIP against a master root key: every certificate, every image, every other byte.

    Exits with 0 if the key's chain of trust covers BL2, BL31 and BL33 and there is nothing else in
    the FIP; with 3 if not, and with 4 if a byte outside of the images has a wrong value.

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
        proofs = _proofs(bytes(data), verdict, root_hash, seed) if prove else None
    if as_json:
        console.emit_json(_document(verdict, root_hash, proofs))
    else:
        _print(verdict, coverage=coverage)
    refuse(verdict.findings, f"{fip} is refused")
    _say_proofs(proofs or [], fip, seed)
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


def _proofs(
    data: bytes, verdict: FirmwareVerdict, root_hash: str, seed: int
) -> list[RegionProof] | None:
    """Return what became of changes to an accepted FIP."""
    from bootseal.firmware.prove import prove

    if verdict.findings:
        return None
    return list(prove(data, root_hash, verdict.regions, seed=seed))


def _say_proofs(proofs: list[RegionProof], fip: Path, seed: int) -> None:
    """Say how many changes were refused, and what no signature covers.

    Raises:
        VerificationRefused: A change to signed bytes was not refused.
    """
    covered = [each for each in proofs if each.covered]
    refused, tried = sum(each.refused for each in covered), sum(each.tries for each in covered)
    for each in covered:
        if each.accepted is not None:
            raise VerificationRefused(
                f"{fip}: {tried - refused} of {tried} changes were not refused: first in "
                f"{each.name} at {each.accepted}"
            )
    if covered:
        said = "OK: {} of {} changes in covered regions were refused (seed {})"
        console.status(said, refused, tried, seed)
    for each in proofs:
        if not each.covered:
            noticed = f"{each.refused} of {each.tries} detected"
            console.status("not covered: {} ({}; {})", each.name, each.state, noticed)


def _document(
    verdict: FirmwareVerdict, root_hash: str, proofs: list[RegionProof] | None
) -> dict[str, object]:
    proved = {} if proofs is None else {"proof": [dataclasses.asdict(each) for each in proofs]}
    return proved | {
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
