# SPDX-License-Identifier: MIT
"""`bootseal identity list`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import Json, StoreDir


def list_(
    name: Annotated[
        str, typer.Argument(metavar="[DEVICE]", help="List only the keys of this device.")
    ] = "",
    *,
    store: StoreDir,
    as_json: Json = False,
) -> None:
    """List the identity keys that were proven, with the state of their certificates."""
    from bootseal.identity.registry import Registry

    now = int(time.time())
    found = Registry(store).entries(name)
    if as_json:
        rows = [
            {
                "serial": entry.serial,
                "device": entry.device,
                "state": entry.state(now),
                "release": entry.release,
                "proven": entry.proven,
                "not_after": entry.not_after,
                "revoked": entry.revoked,
                "reason": entry.reason,
            }
            for entry in found
        ]
        console.emit_json({"schema": "bootseal.identity-list/1", "identities": rows})
        return
    console.table(
        ("device", "serial", "state", "proven", "until"),
        [
            (
                entry.device,
                entry.serial,
                f"{entry.state(now)} ({entry.reason})" if entry.revoked else entry.state(now),
                _day(entry.proven),
                _day(entry.not_after) if entry.certificate else "",
            )
            for entry in found
        ],
    )


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
