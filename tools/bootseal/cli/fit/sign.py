# SPDX-License-Identifier: MIT
"""`bootseal fit sign`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.cli import console
from bootseal.cli.inputs import naming, now, opened, read
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import StrictnessOptions, pairs
from bootseal.errors import UsageError
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from bootseal.fit.add_signature import NewSignature
    from bootseal.fit.sign import Request, SigningKey
    from bootseal.keys.signers.base import Access

_TRUST: Final = "Trust in U-Boot"
_REQUIRED: Final = ("conf", "image")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustOptions:
    """The U-Boot that is to require the keys, and what for."""

    dtb: Annotated[
        Path | None,
        typer.Option(
            help="U-Boot's control device tree, or a file that contains it (u-boot.bin, "
            "u-boot.itb, u-boot.img): make it require the keys.",
            rich_help_panel=_TRUST,
        ),
    ] = None
    dtb_output: Annotated[
        Path | None,
        typer.Option(
            help="Write the result of --dtb here instead of over it.", rich_help_panel=_TRUST
        ),
    ] = None
    required: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[HINT=]conf|image",
            help="What must be signed with the keys, or with this one; may be repeated. If left "
            "out: conf for a key that signs configurations, otherwise image.",
            rich_help_panel=_TRUST,
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.dtb is None and self.dtb_output is not None:
            raise UsageError(
                "--dtb-output without --dtb: there is no device tree to add the keys to"
            )

    def required_for(self, hints: list[str]) -> dict[str, str]:
        """Return what each key shall be required for, where that is said.

        Raises:
            UsageError: It is neither conf nor image, for a key that does not sign, or said twice.
        """
        found: dict[str, str] = {}
        for option in self.required or []:
            hint, named, what = option.rpartition("=")
            if what not in _REQUIRED or (named and hint not in hints):
                raise UsageError(
                    f"--required {option}: expected conf or image, or HINT=conf or HINT=image for "
                    f"one of {', '.join(hints)}"
                )
            given = dict.fromkeys([hint] if named else hints, what)
            if twice := found.keys() & given.keys():
                raise UsageError(f"--required is given twice for {', '.join(sorted(twice))}")
            found |= given
        return found


def sign(
    fit: Annotated[Path, typer.Argument(metavar="FIT", help="The FIT to sign.")],
    *,
    key: Annotated[
        list[str], typer.Option(metavar="URI", help=f"Signing key ({KEY_URI}); may be repeated.")
    ],
    hint: Annotated[
        list[str],
        typer.Option(help="Key name hint of the signature nodes to fill, one for each --key."),
    ],
    keys: KeyOptions,
    strictness: StrictnessOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of over FIT.")
    ] = None,
    add_signature: Annotated[
        str | None,
        typer.Option(
            metavar="HINT=ALGORITHM",
            help="First add a signature node for this key to every configuration.",
        ),
    ] = None,
    padding: Annotated[
        str, typer.Option(help="RSA padding of an added node: pkcs-1.5 or pss.")
    ] = "pkcs-1.5",
    comment: Annotated[
        str | None, typer.Option(help="Comment for the signature nodes; not signed.")
    ] = None,
    trust: TrustOptions,
) -> None:
    """Sign every configuration of a FIT, and verify the result before it is written.

    Signature nodes of single images are signed as well if their hint is among those given. The
    signing time is SOURCE_DATE_EPOCH if that is set.

    Example: bootseal fit sign fit.itb --key keys/DEV-fit-1.key --hint DEV-fit-1
    --dtb u-boot.bin

    With the next key as well: bootseal fit sign fit.itb --key keys/DEV-fit-1.key
    --hint DEV-fit-1 --key keys/DEV-fit-2.key --hint DEV-fit-2
    --add-signature DEV-fit-2=sha256,rsa4096
    """
    from bootseal.files import write_file
    from bootseal.fit.sign import Request, sign_file
    from bootseal.formats.kinds.kind import FIT

    signing = _signing_keys(key, hint, keys.access())
    request = Request(
        keys=signing,
        timestamp=now(),
        comment=comment,
        strictness=strictness.chosen(),
        add=_new_signature(add_signature, padding),
        required=trust.required_for(hint),
    )
    target = output or fit
    trusted = None if trust.dtb is None else _trusting(trust.dtb, fit, request)
    request = dataclasses.replace(request, control=trusted)
    with opened(fit, FIT):
        sign_file(fit, target, request, console.TerminalProgress())
    if trusted is not None and trust.dtb is not None:
        write_file(trust.dtb_output or trust.dtb, trusted)
    _report(target, signing)


def _new_signature(option: str | None, padding: str) -> NewSignature | None:
    from bootseal.fit.add_signature import NewSignature

    if option is None:
        return None
    ((hint, algorithm),) = pairs("--add-signature", [option], "HINT=ALGORITHM").items()
    return NewSignature(hint=hint, algorithm=algorithm, padding=padding)


def _signing_keys(uris: list[str], hints: list[str], access: Access) -> list[SigningKey]:
    from bootseal.fit.sign import SigningKey
    from bootseal.keys.signers import base as signers

    if len(uris) != len(hints):
        raise UsageError(f"{len(uris)} --key and {len(hints)} --hint: expected one for each")
    if len(set(hints)) != len(hints):
        raise UsageError(f"--hint {', '.join(hints)}: expected each once")
    opened = [signers.open(uri, access) for uri in uris]
    return [SigningKey(signer=s, hint=h) for s, h in zip(opened, hints, strict=True)]


def _report(target: Path, keys: list[SigningKey]) -> None:
    for each in keys:
        fingerprint = each.signer.public_key.fingerprint()
        console.status("OK: {} is signed by {} ({})", target, fingerprint, each.hint)


def _trusting(dtb: Path, fit: Path, request: Request) -> bytes:
    """Return a control device tree that requires the keys, with the FIT's algorithms."""
    from bootseal import files
    from bootseal.fit import control_dtb
    from bootseal.formats.kinds.kind import FIT, U_BOOT

    algorithms = {} if request.add is None else {request.add.hint: request.add.algorithm}
    required = dict.fromkeys(algorithms, "conf")
    with opened(fit, FIT) as data:
        model = request.strictness.parse(data)
        for what, nodes in (("image", model.images), ("conf", model.configurations)):
            found = [signature for node in nodes for signature in node.signatures]
            algorithms |= {signature.hint: signature.algorithm for signature in found}
            required |= dict.fromkeys((signature.hint for signature in found), what)
    trusted = read(dtb, U_BOOT, limit=files.BOOT_LOADER)
    with naming(dtb):
        for each in request.keys:
            if each.hint in algorithms:
                trusted = control_dtb.add_key(
                    trusted,
                    each.signer.public_key,
                    hint=each.hint,
                    algorithm=algorithms[each.hint],
                    required=request.required.get(each.hint, required[each.hint]),
                )
    return trusted
