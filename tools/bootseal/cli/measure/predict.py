# SPDX-License-Identifier: MIT
"""`bootseal measure predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import naming
from bootseal.cli.options import Configurations, Json, MeasuredInput, UBootBinary

if TYPE_CHECKING:
    from bootseal.formats.tpm.eventlog import Event
    from bootseal.measure.predict import Prediction


def predict(
    source: MeasuredInput,
    *,
    u_boot: UBootBinary = None,
    configuration: Configurations = None,
    bank: Annotated[
        list[str] | None,
        typer.Option(
            help="PCR bank in addition to sha256; may be repeated. All but sha1 if left out."
        ),
    ] = None,
    bootargs: Annotated[
        str, typer.Option(help="Value of U-Boot's bootargs variable, if it is set.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Print the PCR values, event log and policy digest of a boot of each configuration."""
    from bootseal.measure import inputs as sources

    artefacts = sources.load(source, u_boot=u_boot)
    banks, arguments = bank or sources.BANKS, bootargs.encode()
    left_out: dict[str, str] = {}
    with naming(source):
        if configuration:
            predictions = sources.predictions(
                artefacts, configuration, banks=banks, bootargs=arguments
            )
        else:
            predictions, left_out = sources.predictable(artefacts, banks=banks, bootargs=arguments)
    if as_json:
        console.emit_json(
            {
                "schema": "bootseal.prediction/1",
                "bank": "sha256",
                "firmware": (artefacts.version or b"").decode("ascii"),
                "predictions": [_document(slot, found) for slot, found in predictions],
                "not_predicted": left_out,
            }
        )
        return
    for slot, found in predictions:
        _print(slot, found)
    for reason in left_out.values():
        console.status("WARNING: not predicted: {}", reason)


def _document(slot: str, prediction: Prediction) -> dict[str, object]:
    return {
        "configuration": prediction.configuration,
        "slot": slot or None,
        "rollback_index": prediction.rollback_index,
        "firmware_version": prediction.firmware_version,
        "pcrs": _hex(prediction.pcrs),
        "banks": {bank: _hex(values) for bank, values in prediction.banks.items()},
        "policy": _policy(prediction),
        "events": [_event(event) for event in prediction.events],
    }


def _policy(prediction: Prediction) -> dict[str, object] | None:
    """Return what the data policy approves; None when the boot loader is not known."""
    from bootseal.measure.pcr_policy import covered, policy_digest

    pcrs = covered(prediction)
    if not set(pcrs) <= set(prediction.pcrs):
        return None
    return {"pcrs": list(pcrs), "digest": policy_digest(prediction).hex()}


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
    from bootseal.measure.pcr_policy import covered
    from bootseal.measure.predict import MEANINGS

    title = f"configuration {prediction.configuration}" + (f", slot {slot}" if slot else "")
    console.say("[bold]{}[/]", title)
    for bank, values in prediction.banks.items():
        for pcr, meaning in MEANINGS.items():
            value = values[pcr].hex() if pcr in values else "unknown without U-Boot's binary"
            console.say("  {}  PCR {}   {}  {}", bank, pcr, value, meaning)
    policy = _policy(prediction)
    digest = policy["digest"] if policy else "unknown without the boot loader"
    console.say("  policy  {}  over PCR {}", digest, ", ".join(map(str, covered(prediction))))
    for number, event in enumerate(prediction.events):
        console.say("  event {:2}  PCR {}  {}", number, event.pcr, explain(event))
