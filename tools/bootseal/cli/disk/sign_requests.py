# SPDX-License-Identifier: MIT
"""`bootseal disk sign-requests`: what the machine that has the keys does in two-step signing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import PinFile, secret_source
from bootseal.errors import UsageError


def sign_requests(
    requests: Annotated[Path, typer.Argument(metavar="DIR", help="What --export-requests wrote.")],
    *,
    key: Annotated[str, typer.Option(help="A PEM file, pkcs11:... or awskms:///...")],
    role: Annotated[str, typer.Option(help="Whose requests: fit or policy.")] = "fit",
    module: Annotated[
        Path | None, typer.Option(help="PKCS#11 library, unless the URI names one.")
    ] = None,
    pin_file: PinFile = None,
) -> None:
    """Sign the digests of `disk sign --export-requests`, on the machine that has the key.

    What they are digests of cannot be seen here: know who asks.

    Example: bootseal disk sign-requests requests --key 'pkcs11:token=vault;object=fit'
    """
    from bootseal.keys.signers import base as signer
    from bootseal.keys.signers.offline import answer, load

    wanted = [each for each in load(requests) if each.role == role]
    if not wanted:
        raise UsageError(f"{requests} holds no requests for {role!r}")
    answer(requests, wanted, signer.open(key, secret_source(pin_file), module=module))
    for each in wanted:
        console.status(f"OK: {each.name}: {each.algorithm.name}, digest {each.digest.hex()}")
