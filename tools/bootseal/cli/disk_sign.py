# SPDX-License-Identifier: MIT
"""`bootseal disk sign`: sign a finished disk where the keys are."""

# Heavy modules are imported inside functions, and typer reads annotations at run time.
# ruff: noqa: TC003

from __future__ import annotations

import getpass
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import ui
from bootseal.cli.disk_input import DiskImage, Json, Layout, UBoot, target_of
from bootseal.cli.fit_input import now
from bootseal.cli.keys_options import PinFile, secret_source
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.disk.late import Signing
    from bootseal.disk.record import Record
    from bootseal.disk.requests import Recorder
    from bootseal.disk.target import Target
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey
    from bootseal.keys.secret import SecretSource
    from bootseal.keys.signer import Signer


def sign(
    image: DiskImage,
    *,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Key directory: its FIT key signs."),
    ] = None,
    policy: Annotated[
        bool, typer.Option("--policy", help="With --keys: its policy key signs the PCR policies.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(help="FIT key: a PEM file, pkcs11:... or awskms:///..., with --hint."),
    ] = None,
    hint: Annotated[str, typer.Option(help="The FIT key's name in FIT and U-Boot.")] = "",
    algorithm: Annotated[
        str, typer.Option(help="For example sha384,rsa4096; sha256 if left out.")
    ] = "",
    padding: Annotated[str, typer.Option(help="RSA padding: pkcs-1.5 or pss.")] = "pkcs-1.5",
    policy_key: Annotated[
        str | None, typer.Option(help="Key that signs the PCR policies anew; else they stay.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Public half of a FIT key that is elsewhere.")
    ] = None,
    policy_public_key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Public half of such a policy key.")
    ] = None,
    export_requests: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write what is to be signed elsewhere.")
    ] = None,
    import_signatures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Finish with the signatures made there.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="U-Boot shall require this key, and no other.")
    ] = False,
    profile: Annotated[
        str, typer.Option(help="Key profile the device has then; else that of --keys.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write there, not over the original.")
    ] = None,
    dtb: UBoot = None,
    dtb_output: Annotated[
        Path | None, typer.Option(help="With an IMAGE and --trust: where U-Boot is written.")
    ] = None,
    layout: Layout = None,
    module: Annotated[
        Path | None, typer.Option(help="PKCS#11 library, unless the URI names one.")
    ] = None,
    pin_file: PinFile = None,
    who: Annotated[str, typer.Option(help="Who signs, for the record.")] = "",
    as_json: Json = False,
) -> None:
    """Replace every signature of a finished disk by another key's; nothing else changes.

    The time of signing is SOURCE_DATE_EPOCH when that is set, and else that of the old signatures.

    Example: bootseal disk sign build/device --keys keys/production --trust -o build/signed

    Elsewhere: add --public-key fit.pub --hint fit-1 and --export-requests DIR, sign there as
    DIR/SUMMARY.txt says, then the same with --import-signatures DIR.
    """
    from bootseal.disk.late import Signing

    secret = secret_source(pin_file)
    fit, policy_signer, recorders = _signers(
        keys=keys,
        policy=policy,
        sources=(key, policy_key),
        public=(public_key, policy_public_key),
        exports=export_requests,
        imports=import_signatures,
        open_source=lambda source: _opened(source, secret, module),
    )
    if keys is not None:
        hint, algorithm, profile = _of_directory(keys, hint, algorithm, profile)
    if not hint:
        raise UsageError("--hint is missing: the name of the FIT key in FIT and U-Boot")
    signing = Signing(
        fit=fit,
        hint=hint,
        algorithm=_algorithm(algorithm, padding, fit.public_key),
        policy=policy_signer,
        trust=trust,
        timestamp=_epoch(),
        profile=profile,
    )
    if trust and not image.is_dir() and dtb_output is None:
        raise UsageError("--trust with an IMAGE needs --dtb-output: where U-Boot is written")
    target = target_of(image, dtb, layout, None)
    if export_requests is not None:
        _export(target, signing, recorders, export_requests)
        return
    where = output or image
    record = _write(target, signing, where, dtb_output=dtb_output, who=who)
    _print(record, where, as_json=as_json)


def _export(target: Target, signing: Signing, recorders: list[Recorder], directory: Path) -> None:
    from bootseal.disk import late, requests, table
    from bootseal.disk.source import opened

    with opened(target.image) as disk:
        late.request_all(disk, target, table.read(disk, disk.size), signing)
    wanted = requests.export(directory, recorders, str(target.image))
    ui.status(f"OK: {len(wanted)} digests in {ui.untrusted(str(directory))}")
    ui.status(f"next: sign them as {requests.SUMMARY} there says, then --import-signatures")


def _write(
    target: Target, signing: Signing, output: Path, *, dtb_output: Path | None, who: str
) -> Record:
    from bootseal.disk import late, late_device, table
    from bootseal.disk.source import opened
    from bootseal.files import write_file

    progress = ui.TerminalProgress()
    with opened(target.image) as disk:
        if disk.path != target.image and output == target.image:
            raise UsageError(f"{target.image} is compressed: --output is missing")
        with progress.step("signed and verified"):
            plan = late.plan(disk, target, table.read(disk, disk.size), signing)
        with progress.step("copied, patched, compared and hashed"):
            record = late_device.write(
                target,
                plan,
                signing,
                disk.path,
                output,
                who=who or f"{getpass.getuser()}@{socket.gethostname()}",
                when=datetime.fromtimestamp(now(), UTC).isoformat(),
            )
    if plan.control is not None and dtb_output is not None:
        write_file(dtb_output, plan.control)
    return record


def _print(record: Record, where: Path, *, as_json: bool) -> None:
    if as_json:
        ui.emit_json(
            {
                "schema": "bootseal.disk-signed/1",
                "output": str(where),
                "keys": dict(record.keys),
                "inputs": dict(record.inputs),
                "outputs": dict(record.outputs),
            }
        )
    for role, fingerprint in record.keys.items():
        ui.status(f"OK: {ui.untrusted(str(where))}: {role} signed by {fingerprint}")


def _signers(
    *,
    keys: Path | None,
    policy: bool,
    sources: tuple[str | None, str | None],
    public: tuple[Path | None, Path | None],
    exports: Path | None,
    imports: Path | None,
    open_source: Callable[[str], Signer],
) -> tuple[Signer, Signer | None, list[Recorder]]:
    """Return who signs FITs, who signs policies, and those of them that only note what is asked."""
    from bootseal.disk.requests import Answers, Recorder
    from bootseal.keys.public import from_pem

    given = [each for each in (keys, sources[0], public[0]) if each is not None]
    if len(given) != 1 or (exports is not None and imports is not None):
        raise UsageError("expected one of --keys, --key and --public-key, and one step at a time")
    if public[0] is None:
        if exports is not None or imports is not None or public[1] is not None:
            raise UsageError("signing elsewhere needs --public-key")
        fit = str(sources[0]) if keys is None else _key_file(keys, "fit")
        other = sources[1] if keys is None or not policy else _key_file(keys, "policy")
        return open_source(fit), None if other is None else open_source(other), []
    halves = {
        role: from_pem(path.read_bytes())
        for role, path in zip(("fit", "policy"), public, strict=True)
        if path is not None
    }
    if imports is not None:
        answers = {r: Answers(public_key=k, role=r, directory=imports) for r, k in halves.items()}
        return answers["fit"], answers.get("policy"), []
    if exports is None:
        raise UsageError("--public-key needs --export-requests or --import-signatures")
    recorders = {role: Recorder(public_key=half, role=role) for role, half in halves.items()}
    return recorders["fit"], recorders.get("policy"), list(recorders.values())


def _opened(source: str, secret: SecretSource, module: Path | None) -> Signer:
    from bootseal.keys import signer

    return signer.open(source, secret, module=module)


def _key_file(directory: Path, role: str) -> str:
    from bootseal.keys import store
    from bootseal.keys.profile import Role

    return str(directory / f"{store.find(directory, Role(role)).name}.key")


def _of_directory(directory: Path, hint: str, algorithm: str, profile: str) -> tuple[str, str, str]:
    from bootseal.keys import store
    from bootseal.keys.profile import Role

    found = store.find(directory, Role.FIT)
    listed = store.list_keys(directory)
    return hint or found.name, algorithm or found.algorithm.name, profile or listed.profile


def _algorithm(name: str, padding: str, key: PublicKey) -> Algorithm:
    from bootseal.keys.algorithms import Algorithm

    return Algorithm.parse(name or f"sha256,{key.kind}", padding)


def _epoch() -> int | None:
    return now() if "SOURCE_DATE_EPOCH" in os.environ else None
