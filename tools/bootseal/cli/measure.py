# SPDX-License-Identifier: MIT
"""`bootseal measure`: predict what a boot measures, approve it, and judge event logs."""

# Heavy modules are imported inside commands, so that --help stays quick.

# typer reads the annotations when the command line is built.
# ruff: noqa: TC001, TC003

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import output as files
from bootseal.cli import ui
from bootseal.cli.fit_input import naming
from bootseal.cli.keys_options import PinFile, secret_source
from bootseal.cli.measure_list import approve, export, load, revoke
from bootseal.cli.measure_log import log
from bootseal.cli.measure_options import Banks, Configurations, Source, UBoot

if TYPE_CHECKING:
    from bootseal.formats.tpm.eventlog import Event
    from bootseal.keys.public import PublicKey
    from bootseal.measure.pcr_policy import Document
    from bootseal.measure.predict import Prediction

app = typer.Typer(no_args_is_help=True, help="Predict what a boot measures, and approve it.")


@app.command()
def predict(
    source: Source,
    *,
    u_boot: UBoot = None,
    configuration: Configurations = None,
    bank: Banks = None,
    bootargs: Annotated[
        str, typer.Option(help="U-Boot's bootargs variable, where it has one.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the PCR values, event log and policy digest each configuration boots into."""
    from bootseal.measure import inputs as sources

    artefacts = sources.load(source, u_boot=u_boot)
    with naming(source):
        predictions = sources.predictions(
            artefacts, configuration, banks=bank or sources.BANKS, bootargs=bootargs.encode()
        )
    if as_json:
        ui.emit_json(
            {
                "schema": "bootseal.prediction/1",
                "bank": "sha256",
                "firmware": (artefacts.version or b"").decode("ascii"),
                "predictions": [_document(slot, found) for slot, found in predictions],
            }
        )
        return
    for slot, found in predictions:
        _print(slot, found)


def _document(slot: str, prediction: Prediction) -> dict[str, object]:
    from bootseal.measure.pcr_policy import PCRS, policy_digest

    return {
        "configuration": prediction.configuration,
        "slot": slot or None,
        "rollback_index": prediction.rollback_index,
        "pcrs": _hex(prediction.pcrs),
        "banks": {bank: _hex(values) for bank, values in prediction.banks.items()},
        "policy": {"pcrs": list(PCRS), "digest": policy_digest(prediction).hex()},
        "events": [_event(event) for event in prediction.events],
    }


def _event(event: Event) -> dict[str, object]:
    from bootseal.formats.tpm import event_types

    return {
        "pcr": event.pcr,
        "type": event.type,
        "name": event_types.name(event.type),
        "sha256": event.digests["sha256"].hex(),
        "digests": {bank: digest.hex() for bank, digest in event.digests.items()},
        "data": event.data.hex(),
    }


def _hex(values: dict[int, bytes]) -> dict[str, str]:
    return {str(pcr): value.hex() for pcr, value in sorted(values.items())}


def _print(slot: str, prediction: Prediction) -> None:
    from bootseal.measure.explain import explain
    from bootseal.measure.pcr_policy import PCRS, policy_digest
    from bootseal.measure.predict import MEANINGS

    title = f"configuration {prediction.configuration}" + (f", slot {slot}" if slot else "")
    ui.out.print(f"[bold]{ui.untrusted(title)}[/]")
    for bank, values in prediction.banks.items():
        for pcr, meaning in MEANINGS.items():
            value = values[pcr].hex() if pcr in values else "not known without U-Boot's binary"
            ui.out.print(f"  {bank}  PCR {pcr}   {value}  {meaning}")
    ui.out.print(
        f"  policy  {policy_digest(prediction).hex()}  over PCR {', '.join(map(str, PCRS))}"
    )
    for number, event in enumerate(prediction.events):
        ui.out.print(f"  event {number:2}  PCR {event.pcr}  {ui.untrusted(explain(event))}")


@app.command()
def sign(
    source: Source,
    *,
    key: Annotated[
        str, typer.Option(help="The policy key, RSA-2048: a PEM file, pkcs11:... or awskms:///...")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Where to write the policy; - is stdout.")
    ],
    configuration: Configurations = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="POLICY", help="Keep what this earlier policy approves, too."),
    ] = None,
    approved: Annotated[
        Path | None,
        typer.Option(metavar="LIST", help="Keep only what is on this approved list."),
    ] = None,
    pin_file: PinFile = None,
) -> None:
    """Approve the predicted states: write systemd's tpm2-pcr-signature.json."""
    from bootseal.errors import UsageError
    from bootseal.keys.signers import base as signers
    from bootseal.measure import inputs as sources
    from bootseal.measure import pcr_policy

    if approved and not keep:
        raise UsageError("--approved says what to keep: it needs --keep POLICY")
    artefacts = sources.load(source)
    with naming(source):
        found = sources.predictions(artefacts, configuration, banks=["sha256"])
    predictions = [prediction for _, prediction in found]
    signer = signers.open(key, secret_source(pin_file))
    document = pcr_policy.sign(predictions, signer)
    new = len(document["sha256"])
    if keep:
        document = _kept(document, keep, approved, signer.public_key)
    data = pcr_policy.to_bytes(document)
    pcr_policy.verify(data, signer.public_key, predictions)
    pcr_policy.to_tail(data)
    files.write(output, data)
    names = ", ".join(prediction.configuration for prediction in predictions)
    earlier = len(document["sha256"]) - new
    ui.status(
        f"OK: {ui.untrusted(names)} approved by key {signer.public_key.fingerprint()}"
        + (f", {earlier} earlier states kept" if keep else "")
    )


def _kept(document: Document, keep: Path, approved: Path | None, public_key: PublicKey) -> Document:
    from bootseal.measure import approved as lists
    from bootseal.measure import pcr_policy

    digests = None
    if approved:
        digests = lists.policy_digests(load(approved), pcr_policy.PCRS)
    with naming(keep):
        earlier = pcr_policy.parse(keep.read_bytes())
    return pcr_policy.keep(document, earlier, public_key, digests)


app.command()(log)
app.command()(approve)
app.command()(revoke)
app.command()(export)
