# SPDX-License-Identifier: MIT
"""`bootseal identity challenge`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import DeviceName, Json, StoreDir


def challenge(
    name: DeviceName,
    *,
    store: StoreDir,
    validity: Annotated[
        int, typer.Option(min=1, max=86400, help="Seconds within which it must be answered.")
    ] = 300,
    as_json: Json = False,
) -> None:
    """Print a fresh nonce for a device, the argument of bootseal-identity prove."""
    import dataclasses

    from bootseal.attest.store import Store
    from bootseal.errors import UsageError

    known = Store(store)
    if not known.record(name).certified:
        raise UsageError(
            f"the attestation key of {name} is not certified, so its answer would prove nothing",
            hint="bootseal attest certify",
        )
    asked = known.ask(name, now=int(time.time()), validity=validity)
    if as_json:
        console.emit_json(dataclasses.asdict(asked))
    else:
        console.say(asked.nonce)
