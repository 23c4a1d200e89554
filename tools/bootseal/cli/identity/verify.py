# SPDX-License-Identifier: MIT
"""`bootseal identity verify`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import approved_list, naming, read
from bootseal.cli.options import ApprovedBy, Json, StoreDir

if TYPE_CHECKING:
    from bootseal.identity.verify import IdentityVerdict


def verify(
    proof: Annotated[
        Path, typer.Argument(metavar="PROOF", help="Output of bootseal-identity prove.")
    ],
    *,
    store: StoreDir,
    approved: ApprovedBy,
    as_json: Json = False,
) -> None:
    """Check that a key was made in the device's TPM, only signs, and that the device is approved.

    Exits with 3 if the proof is refused.
    """
    from bootseal.attest import verify as attest
    from bootseal.attest.store import Store
    from bootseal.errors import ExitCode, VerificationRefused
    from bootseal.formats.kinds.kind import DOCUMENT
    from bootseal.identity import messages
    from bootseal.identity import verify as identity
    from bootseal.identity.registry import Registry

    known, now, serial = Store(store), int(time.time()), ""
    verifier = identity.Verifier(approved_list(approved))
    document = read(proof, DOCUMENT)
    with naming(proof):
        answer = messages.parse(document)
    try:
        asked = known.take(answer.evidence.quote.nonce, now=now)
    except VerificationRefused as refusal:
        verdict = identity.unasked(answer, refusal)
    else:
        record = known.record(asked.device)
        verdict = verifier.inspect(answer, record, asked, now)
        if verdict.accepted:
            serial = Registry(store).accept(answer, verdict, record, now).serial
            known.save(attest.seen(record, verdict.boot, answer.evidence))
    if as_json:
        console.emit_json(_document(verdict, serial))
    else:
        _print(verdict, serial)
    if not verdict.accepted:
        raise typer.Exit(ExitCode.REFUSED)


def _document(verdict: IdentityVerdict, serial: str) -> dict[str, object]:
    return {
        "schema": "bootseal.identity-verdict/1",
        "verdict": "accepted" if verdict.accepted else "refused",
        "device": verdict.boot.device,
        "nonce": verdict.boot.nonce,
        "key": verdict.key,
        "serial": serial,
        "release": verdict.boot.release,
        "slot": verdict.boot.slot,
        "rollback_index": verdict.boot.rollback_index,
        "findings": [
            {"id": finding.id, "severity": finding.severity, "message": finding.message}
            for finding in verdict.findings
        ],
    }


def _print(verdict: IdentityVerdict, serial: str) -> None:
    device = verdict.boot.device or "unknown device"
    if verdict.accepted:
        text = "[bold green]ACCEPTED[/]  {}: the key {} is in its TPM; release {}; serial {}"
        console.say(text, device, verdict.key, verdict.boot.release, serial)
    else:
        console.say("[bold red]REFUSED[/]  {}: the key {}", device, verdict.key)
    for finding in verdict.findings:
        console.say("  {}  {}", finding.id, finding.message)
