# SPDX-License-Identifier: MIT
"""`bootseal identity crl`."""

from __future__ import annotations

from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.identity.authority import AuthorityFile, AuthorityOptions
from bootseal.cli.inputs import now
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import StoreDir


def crl(
    *,
    store: StoreDir,
    authority: AuthorityFile,
    signing: AuthorityOptions,
    keys: KeyOptions,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days until the next is due.")] = 30,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the list; - is standard output.")
    ] = "-",
) -> None:
    """Write the CA's list of revoked certificates (CRL), for brokers and servers.

    Its date is now, or SOURCE_DATE_EPOCH: with --export-requests and --import-signatures set that
    to the same time in both steps.
    """
    from bootseal.identity import issue as issuing
    from bootseal.identity.registry import Registry
    from bootseal.keys import identity as certificates

    when = now()
    ca = certificates.authority(authority, when)
    revoked = issuing.revoked(Registry(store).entries(), ca)
    signer, recorders = signing.signer(ca, keys)
    made = certificates.revocation_list(revoked, ca, signer, when, days)
    if signing.exported(recorders, f"a revocation list with {len(revoked)} certificates"):
        return
    certificates.verify_list(made, ca)
    console.write(output, made)
    console.status("OK: {} certificates of this CA are revoked", len(revoked))
