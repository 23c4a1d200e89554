# SPDX-License-Identifier: MIT
"""`bootseal fit sign`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import (
    Compat,
    ExternalData,
    MaxSize,
    choose_policy,
    naming,
    now,
    pairs,
)
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.fit.add_signature import NewSignature
    from bootseal.fit.sign import Request, SigningKey
_Keys = Annotated[
    list[str],
    typer.Option(help="Private key: a PEM file, pkcs11:..., awskms:///...; may be repeated."),
]
_Hints = Annotated[
    list[str], typer.Option(help="Name hint of the signature nodes to fill, one for each --key.")
]
_Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write here instead of over FIT.")
]
_AddSignature = Annotated[
    str | None,
    typer.Option(
        metavar="HINT=ALGORITHM",
        help="Add a signature node for the next key to every configuration first.",
    ),
]
_Padding = Annotated[str, typer.Option(help="RSA padding of an added node: pkcs-1.5 or pss.")]
_Comment = Annotated[str | None, typer.Option(help="Text for the signature nodes; not signed.")]
_PinFile = Annotated[
    Path | None, typer.Option(help="File with the PIN or passphrase; else BOOTSEAL_PIN.")
]
_Module = Annotated[Path | None, typer.Option(help="PKCS#11 library, unless the URI names one.")]
_Trusting = Annotated[
    Path | None,
    typer.Option(help="Control device tree, or u-boot.bin, that shall require the keys."),
]
_TrustingOutput = Annotated[
    Path | None, typer.Option(help="Write that here instead of over the --dtb file.")
]
_Required = Annotated[str, typer.Option(help="What they must have signed there: conf or image.")]


def sign(
    fit: Annotated[Path, typer.Argument(metavar="FIT", help="The FIT to sign.")],
    *,
    key: _Keys,
    hint: _Hints,
    output: _Output = None,
    add_signature: _AddSignature = None,
    padding: _Padding = "pkcs-1.5",
    comment: _Comment = None,
    pin_file: _PinFile = None,
    module: _Module = None,
    dtb: _Trusting = None,
    dtb_output: _TrustingOutput = None,
    required: _Required = "conf",
    compat: Compat = False,
    external_data: ExternalData = False,
    max_size: MaxSize = None,
) -> None:
    """Sign every configuration of a FIT, and verify the result before it is written.

    Signature nodes of single images are signed as well when their hint is one
    of those given. The time of signing is SOURCE_DATE_EPOCH when that is set.

    Example: bootseal fit sign fit.itb --key keys/DEV-fit-1.key --hint DEV-fit-1
    --dtb u-boot.bin

    Beside the next key: bootseal fit sign fit.itb --key keys/DEV-fit-1.key
    --hint DEV-fit-1 --key keys/DEV-fit-2.key --hint DEV-fit-2
    --add-signature DEV-fit-2=sha256,rsa4096
    """
    from bootseal.files import write_file
    from bootseal.fit.sign import Request, sign_file

    if dtb is None and dtb_output is not None:
        raise UsageError("--dtb-output without --dtb: there is no device tree to put the key into")
    keys = _signing_keys(key, hint, pin_file, module)
    request = Request(
        keys=keys,
        timestamp=now(),
        comment=comment,
        policy=choose_policy(compat=compat, external_data=external_data, max_size=max_size),
        add=_new_signature(add_signature, padding),
    )
    target = output or fit
    trusted = None if dtb is None else _trusting(dtb, fit, request, required)
    with naming(fit):
        sign_file(fit, target, request)
    if trusted is not None and dtb is not None:
        write_file(dtb_output or dtb, trusted)
    _report(target, keys)


def _new_signature(option: str | None, padding: str) -> NewSignature | None:
    from bootseal.fit.add_signature import NewSignature

    if option is None:
        return None
    ((hint, algorithm),) = pairs("--add-signature", [option], "ALGORITHM").items()
    return NewSignature(hint=hint, algorithm=algorithm, padding=padding)


def _signing_keys(
    keys: list[str], hints: list[str], pin_file: Path | None, module: Path | None
) -> list[SigningKey]:
    from bootseal.fit.sign import SigningKey
    from bootseal.keys.signers import base as signer
    from bootseal.keys.signers.pin import SecretSource

    if len(keys) != len(hints):
        raise UsageError(f"{len(keys)} --key and {len(hints)} --hint: expected one for each")
    if len(set(hints)) != len(hints):
        raise UsageError(f"--hint {', '.join(hints)}: expected each once")
    secret = SecretSource(file=pin_file, ask=_ask if sys.stdin.isatty() else None)
    signers = [signer.open(key, secret, module=module) for key in keys]
    return [SigningKey(signer=s, hint=h) for s, h in zip(signers, hints, strict=True)]


def _report(target: Path, keys: list[SigningKey]) -> None:
    for each in keys:
        fingerprint = each.signer.public_key.fingerprint()
        console.status(
            f"OK: {console.untrusted(str(target))} is signed by {fingerprint} ({each.hint})"
        )


def _ask(what: str) -> str:
    return str(typer.prompt(what, hide_input=True, err=True))


def _trusting(dtb: Path, fit: Path, request: Request, required: str) -> bytes:
    """Return a control device tree that requires the keys, for the algorithms the FIT names."""
    from bootseal.files import mapped
    from bootseal.fit import control_dtb
    from bootseal.formats.fit import model as fit_format

    algorithms = {} if request.add is None else {request.add.hint: request.add.algorithm}
    with naming(fit), mapped(fit) as data:
        model = fit_format.parse(data, lenient=not request.policy.strict)
        found = [s for image in model.images for s in image.signatures]
        found += [s for each in model.configurations for s in each.signatures]
        algorithms.update({signature.hint: signature.algorithm for signature in found})
    trusted = dtb.read_bytes()
    with naming(dtb):
        for each in request.keys:
            if each.hint in algorithms:
                trusted = control_dtb.add_key(
                    trusted,
                    each.signer.public_key,
                    hint=each.hint,
                    algorithm=algorithms[each.hint],
                    required=required,
                )
    return trusted
