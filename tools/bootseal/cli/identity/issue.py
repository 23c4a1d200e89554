# SPDX-License-Identifier: MIT
"""`bootseal identity issue`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.identity.authority import AuthorityFile, AuthorityOptions
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import DeviceName, StoreDir

if TYPE_CHECKING:
    from bootseal.identity.registry import Entry


def issue(
    name: DeviceName,
    *,
    store: StoreDir,
    authority: AuthorityFile,
    signing: AuthorityOptions,
    keys: KeyOptions,
    days: Annotated[
        int, typer.Option(min=1, max=36500, help="Days of validity, from the proof on.")
    ] = 365,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the certificate; - is standard output.")
    ] = "-",
) -> None:
    """Certify the identity key that a device has proven; running it again prints the same.

    The subject and everything else in the certificate come from the verifier's own records.

    Example: bootseal identity issue dev-1 --store verifier --ca keys/device-ca.crt
    --key keys/device-ca.key -o dev-1.pem
    """
    from bootseal.attest.store import Store
    from bootseal.identity import issue as issuing
    from bootseal.identity.registry import Registry
    from bootseal.keys import identity as certificates

    record, registry = Store(store).record(name), Registry(store)
    ca = certificates.authority(authority, int(time.time()))
    entry = registry.latest(record)
    if entry.certificate:
        issuing.check_again(entry, ca)
        console.write(output, certificates.pem(entry.certificate))
        _say(entry, "was issued before")
        return
    signer, recorders = signing.signer(ca, keys)
    entry, made = issuing.issue(record, entry, ca, signer, days)
    if signing.exported(recorders, f"the identity certificate of {name}, serial {entry.serial}"):
        return
    certificates.verify(made, ca)
    registry.save(entry)
    console.write(output, made.pem)
    _say(entry, "is issued")


def _say(entry: Entry, what: str) -> None:
    until = time.strftime("%Y-%m-%d", time.gmtime(entry.not_after))
    console.status(
        "OK: the certificate of {} {}: serial {}, until {}", entry.device, what, entry.serial, until
    )
