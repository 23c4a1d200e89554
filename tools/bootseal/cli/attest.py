# SPDX-License-Identifier: MIT
"""`bootseal attest`: enrol devices, challenge them, and check what they answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import approved_list, naming, read
from bootseal.cli.options import ApprovedBy, DeviceName, Json, StoreDir

if TYPE_CHECKING:
    from bootseal.attest.verify import AttestVerdict

app = typer.Typer(
    no_args_is_help=True,
    help="Ask a device what it booted, and check its answer.",
)


@app.command()
def enrol(
    name: DeviceName,
    identity: Annotated[
        Path, typer.Argument(metavar="IDENTITY", help="Output of bootseal-attest identity.")
    ],
    *,
    store: StoreDir,
    authority: Annotated[
        list[Path],
        typer.Option(
            "--ca", help="PEM certificates of the TPM manufacturer's CAs; may be repeated."
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the credential; - is standard output.")
    ] = "-",
    again: Annotated[
        bool, typer.Option("--again", help="Replace the record of a device of this name.")
    ] = False,
) -> None:
    """Check a device's endorsement certificate, and make a credential only its TPM can decrypt."""
    import base64
    from datetime import UTC, datetime

    from bootseal.attest import messages
    from bootseal.attest import verify as attest
    from bootseal.attest.store import Store
    from bootseal.errors import UsageError
    from bootseal.formats.kinds.kind import CERTIFICATE, DOCUMENT
    from bootseal.keys.tpm import endorsement

    known = Store(store)
    if known.known(name) and not again:
        raise UsageError(
            f"the verifier already has a device {name!r}",
            hint="--again replaces it; its key must then be certified again",
        )
    trusted = [
        one
        for path in authority
        for one in endorsement.authorities(read(path, CERTIFICATE), str(path))
    ]
    document = read(identity, DOCUMENT)
    with naming(identity):
        said = messages.parse_identity(document)
    record, credential = attest.enrol(said, trusted, name, datetime.now(UTC))
    known.admit(record)
    console.write(output, base64.b64encode(credential) + b"\n")
    console.status(
        "OK: {} has an endorsement certificate by {}; its key is certified once it answers",
        name,
        record.ek_issuer,
    )


@app.command()
def certify(
    name: DeviceName,
    answer: Annotated[
        Path, typer.Argument(metavar="ANSWER", help="Output of bootseal-attest activate.")
    ],
    *,
    store: StoreDir,
) -> None:
    """Check the answer to a credential, which proves that the attestation key is in the TPM."""
    from bootseal.attest import messages
    from bootseal.attest import verify as attest
    from bootseal.attest.store import Store
    from bootseal.formats.kinds.kind import DOCUMENT

    known = Store(store)
    document = read(answer, DOCUMENT)
    with naming(answer):
        secret = messages.parse_activation(document)
    known.admit(attest.certify(known.record(name), secret, int(time.time())))
    console.status("OK: the attestation key of {} is certified", name)


@app.command()
def challenge(
    name: DeviceName,
    *,
    store: StoreDir,
    validity: Annotated[
        int, typer.Option(min=1, max=86400, help="Seconds within which it must be answered.")
    ] = 300,
    as_json: Json = False,
) -> None:
    """Print a fresh nonce for a device, the argument of bootseal-attest quote."""
    import dataclasses

    from bootseal.attest.store import Store

    asked = Store(store).ask(name, now=int(time.time()), validity=validity)
    if as_json:
        console.emit_json(dataclasses.asdict(asked))
    else:
        console.say(asked.nonce)


@app.command()
def verify(
    answer: Annotated[
        Path, typer.Argument(metavar="EVIDENCE", help="Output of bootseal-attest quote.")
    ],
    *,
    store: StoreDir,
    approved: ApprovedBy,
    as_json: Json = False,
) -> None:
    """Check an answer: its signature, age and event log, and whether the boot is approved.

    Exits with 3 if the device is refused.
    """
    from bootseal.attest import messages
    from bootseal.attest import verify as attest
    from bootseal.attest.store import Store
    from bootseal.errors import ExitCode, VerificationRefused
    from bootseal.formats.kinds.kind import DOCUMENT

    known, now = Store(store), int(time.time())
    verifier = attest.Verifier(approved_list(approved))
    document = read(answer, DOCUMENT)
    with naming(answer):
        evidence = messages.parse_evidence(document)
    try:
        asked = known.take(evidence.quote.nonce, now=now)
    except VerificationRefused as refusal:
        verdict = attest.unasked(evidence, refusal)
    else:
        record = known.record(asked.device)
        verdict = verifier.inspect(evidence, record, asked, now)
        if verdict.accepted:
            known.save(attest.seen(record, verdict, evidence))
    if as_json:
        console.emit_json(_document(verdict))
    else:
        _print(verdict)
    if not verdict.accepted:
        raise typer.Exit(ExitCode.REFUSED)


def _document(verdict: AttestVerdict) -> dict[str, object]:
    return {
        "schema": "bootseal.attestation/1",
        "verdict": "accepted" if verdict.accepted else "refused",
        "device": verdict.device,
        "nonce": verdict.nonce,
        "release": verdict.release,
        "slot": verdict.slot,
        "rollback_index": verdict.rollback_index,
        "reset_count": verdict.reset_count,
        "clock": verdict.clock,
        "findings": [
            {"id": finding.id, "severity": finding.severity, "message": finding.message}
            for finding in verdict.findings
        ],
    }


def _print(verdict: AttestVerdict) -> None:
    word = "[bold green]ACCEPTED[/]" if verdict.accepted else "[bold red]REFUSED[/]"
    runs = f"release {verdict.release}" if verdict.release else "no approved release"
    slot = f", slot {verdict.slot}" if verdict.slot else ""
    device = verdict.device or "unknown device"
    console.say(f"{word}  {{}}: {{}}{{}}", device, runs, slot)
    for finding in verdict.findings:
        console.say("  {}  {}", finding.id, finding.message)
