# SPDX-License-Identifier: MIT
"""`bootseal identity revoke`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import DeviceName, StoreDir


def revoke(
    name: DeviceName,
    *,
    store: StoreDir,
    serial: Annotated[
        str,
        typer.Option(
            help="Revoke only this serial number; all certificates of the device if left out."
        ),
    ] = "",
    reason: Annotated[
        str, typer.Option(help="Reason, by its name in RFC 5280: keyCompromise, superseded ...")
    ] = "unspecified",
) -> None:
    """Revoke the certificates of a device; identity crl then writes the list."""
    from bootseal.identity.registry import Registry
    from bootseal.keys import identity as certificates

    certificates.check_reason(reason)
    changed = Registry(store).revoke(name, serial, reason=reason, now=int(time.time()))
    for entry in changed:
        console.status("OK: {} of {} is revoked: {}", entry.serial, name, reason)
    console.status("next: bootseal identity crl, and distribute the list to brokers and servers")
