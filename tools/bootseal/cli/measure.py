# SPDX-License-Identifier: MIT
"""`bootseal measure`: predict PCR values and approve them."""

# Heavy modules are imported inside commands, so that --help stays quick.

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import ui
from bootseal.cli.keys_options import PinFile, secret_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.formats.eventlog import Event
    from bootseal.measure.predict import Prediction

app = typer.Typer(no_args_is_help=True, help="Predict what a boot measures, and approve it.")

_Source = Annotated[
    Path, typer.Argument(metavar="FIT|DIR", help="A FIT, or a built device's directory.")
]
_Configurations = Annotated[
    list[str] | None,
    typer.Option("--configuration", "-c", help="Only this configuration; may be repeated."),
]


@app.command()
def predict(
    source: _Source,
    *,
    configuration: _Configurations = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the PCR values and the policy digest each configuration boots into."""
    from bootseal.measure.policy import PCRS, policy_digest
    from bootseal.measure.predict import MEANINGS

    slots, predictions = _predict(source, configuration)
    if as_json:
        ui.emit_json(
            {
                "schema": "bootseal.prediction/1",
                "bank": "sha256",
                "predictions": [
                    {
                        "configuration": prediction.configuration,
                        "slot": slots.get(prediction.configuration),
                        "pcrs": {str(pcr): v.hex() for pcr, v in sorted(prediction.pcrs.items())},
                        "policy": {"pcrs": list(PCRS), "digest": policy_digest(prediction).hex()},
                        "events": [_event(event) for event in prediction.events],
                    }
                    for prediction in predictions
                ],
            }
        )
        return
    for prediction in predictions:
        slot = slots.get(prediction.configuration)
        title = f"configuration {prediction.configuration}" + (f", slot {slot}" if slot else "")
        ui.out.print(f"[bold]{ui.untrusted(title)}[/]")
        for pcr, value in sorted(prediction.pcrs.items()):
            ui.out.print(f"  PCR {pcr}   {value.hex()}  {MEANINGS[pcr]}")
        ui.out.print(
            f"  policy  {policy_digest(prediction).hex()}  over PCR {', '.join(map(str, PCRS))}"
        )


@app.command()
def sign(
    source: _Source,
    *,
    key: Annotated[
        str, typer.Option(help="The policy key, RSA-2048: a PEM file, pkcs11:... or awskms:///...")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Where to write the policy; - is stdout.")
    ],
    configuration: _Configurations = None,
    pin_file: PinFile = None,
) -> None:
    """Approve the predicted states: write systemd's tpm2-pcr-signature.json."""
    from bootseal.keys import signer as signers
    from bootseal.measure import policy

    _, predictions = _predict(source, configuration)
    signer = signers.open(key, secret_source(pin_file))
    data = policy.to_bytes(policy.sign(predictions, signer))
    policy.verify(data, signer.public_key, predictions)
    if output == "-":
        typer.echo(data, nl=False)
    else:
        target = Path(output)
        temporary = target.with_name(f".{target.name}.new")
        try:
            temporary.write_bytes(data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    names = ", ".join(prediction.configuration for prediction in predictions)
    ui.status(f"OK: {ui.untrusted(names)} approved by key {signer.public_key.fingerprint()}")


def _event(event: Event) -> dict[str, object]:
    return {"pcr": event.pcr, "type": event.type, "sha256": event.digests["sha256"].hex()}


def _predict(
    source: Path, configurations: Sequence[str] | None
) -> tuple[dict[str, str], list[Prediction]]:
    """Return the slot of each configuration, where known, and the predictions."""
    from bootseal import device
    from bootseal.errors import UsageError
    from bootseal.formats import fit
    from bootseal.measure.predict import predict as predict_one

    slots: dict[str, str] = {}
    path = source
    if source.is_dir():
        built = device.load(source)
        path = built.artefact(source, "fit")
        slots = {slot.configuration: slot.name for slot in built.slots}
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no FIT at {path}") from None
    names = (
        configurations or list(slots) or [found.name for found in fit.parse(data).configurations]
    )
    return slots, [predict_one(data, name) for name in names]
