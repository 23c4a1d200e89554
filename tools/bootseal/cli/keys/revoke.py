# SPDX-License-Identifier: MIT
"""`bootseal keys revoke`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.keys.impact import print_trace
from bootseal.cli.options import Json, KeysDir
from bootseal.errors import ExitCode


def revoke(
    directory: KeysDir,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name or fingerprint.")],
    tree: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TREE...", help="Directory or file to search for what still trusts the key."
        ),
    ] = None,
    *,
    reason: Annotated[
        str, typer.Option(help="Reason, shown to anyone who tries to sign with it.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Mark a key as revoked: it no longer signs anything. Devices are not changed by this.

    Exits with 3 if something in the trees still trusts the key.
    """
    from bootseal.fit.key_usage import Relation, trace
    from bootseal.keys import certificate, public
    from bootseal.keys.directory import rotate as rotation

    revoked = rotation.revoke(directory, key, reason=reason)
    public_key = public.from_crypto(
        certificate.read(directory / f"{revoked.name}.crt").public_key()
    )
    console.status("{} is revoked: {}", revoked.name, revoked.fingerprint)
    if not tree:
        console.status(
            "Find what still trusts it: bootseal keys impact {} TREE...", revoked.fingerprint
        )
        return
    found = trace(revoked.fingerprint, tree, key=public_key)
    print_trace(found, as_json=as_json)
    if any(use.relation is Relation.TRUSTS for use in found.uses):
        console.status("REVOKED, but still trusted: replace the boot loaders above.")
        raise typer.Exit(ExitCode.REFUSED)
