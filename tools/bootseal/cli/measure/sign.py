# SPDX-License-Identifier: MIT
"""`bootseal measure sign`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import approved_list, naming, read
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import Configurations, MeasuredInput, UBootBinary
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from bootseal.keys.public import PublicKey
    from bootseal.measure.pcr_policy import PcrPolicy


def sign(
    source: MeasuredInput,
    *,
    key: Annotated[str, typer.Option(metavar="URI", help=f"Policy key, RSA-2048 ({KEY_URI}).")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the policy; - is standard output.")
    ],
    keys: KeyOptions,
    u_boot: UBootBinary = None,
    configuration: Configurations = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="POLICY", help="Also keep the states that this earlier policy approves."
        ),
    ] = None,
    approved: Annotated[
        Path | None,
        typer.Option(
            metavar="LIST", help="Keep only those states of --keep that are on this approved list."
        ),
    ] = None,
) -> None:
    """Approve the predicted states: write systemd's tpm2-pcr-signature.json."""
    from bootseal import documents
    from bootseal.errors import UsageError
    from bootseal.formats.boot_partition import pad_policy
    from bootseal.keys.signers import base as signers
    from bootseal.measure import inputs as sources
    from bootseal.measure import pcr_policy

    if approved and not keep:
        raise UsageError("--approved selects what to keep: it needs --keep POLICY")
    artefacts = sources.load(source, u_boot=u_boot)
    with naming(source):
        found = sources.predictions(artefacts, configuration, banks=["sha256"])
        for _, prediction in found:
            sources.demand_boot_loader(artefacts, prediction)
    predictions = [prediction for _, prediction in found]
    signer = signers.open(key, keys.access())
    document = pcr_policy.sign(predictions, signer)
    new = len(document.sha256)
    if keep:
        document = _kept(document, keep, approved, signer.public_key)
    data = documents.dump(document)
    pcr_policy.verify(data, signer.public_key, predictions)
    pad_policy(data)
    console.write(output, data)
    names = ", ".join(prediction.configuration for prediction in predictions)
    kept = f", {len(document.sha256) - new} earlier states kept" if keep else ""
    console.status("OK: {} approved by key {}{}", names, signer.public_key.fingerprint(), kept)


def _kept(
    document: PcrPolicy, keep: Path, approved: Path | None, public_key: PublicKey
) -> PcrPolicy:
    from bootseal.formats.kinds.kind import DOCUMENT
    from bootseal.measure import approved as lists
    from bootseal.measure import pcr_policy

    digests = None
    if approved:
        listed = approved_list(approved)
        digests = lists.policy_digests(listed, pcr_policy.PCRS)
        digests |= lists.policy_digests(listed, pcr_policy.ROM_PCRS)
    data = read(keep, DOCUMENT)
    with naming(keep):
        earlier = pcr_policy.parse(data)
    return pcr_policy.keep(document, earlier, public_key, digests)
