# SPDX-License-Identifier: MIT
"""`bootseal disk sign-requests`: the step of two-step signing on the machine with the keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.key_options import KeyOptions
from bootseal.errors import UsageError
from bootseal.keys.signers.schemes import KEY_URI


def sign_requests(
    requests: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory that --export-requests wrote.")
    ],
    *,
    key: Annotated[str, typer.Option(metavar="URI", help=f"Signing key ({KEY_URI}).")],
    keys: KeyOptions,
    role: Annotated[
        str,
        typer.Option(
            help="Requests to sign: fit, policy, update, app, modules, device-ca, attestation or a "
            "key of `firmware sign`."
        ),
    ] = "fit",
) -> None:
    """Sign the digests that `--export-requests` wrote, on the machine that has the key.

    Every .digest file must match requests.json. That machine cannot tell what the digests are of:
    be sure where the directory comes from.

    Example: bootseal disk sign-requests requests --key 'pkcs11:token=vault;object=fit'
    """
    from bootseal.keys.signers import base as signers
    from bootseal.keys.signers.offline import answer, load

    wanted = [each for each in load(requests) if each.role == role]
    if not wanted:
        raise UsageError(f"{requests} has no requests for {role!r}")
    answer(requests, wanted, signers.open(key, keys.access()))
    for each in wanted:
        console.status("OK: {}: {}, digest {}", each.name, each.algorithm.name, each.digest.hex())
