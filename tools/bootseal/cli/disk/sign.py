# SPDX-License-Identifier: MIT
"""`bootseal disk sign`: sign a finished disk where the keys are."""

from __future__ import annotations

import getpass
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bootseal.cli import console
from bootseal.cli.disk import sign_options as options
from bootseal.cli.disk.options import DiskImage, Layout, UBoot, target_of
from bootseal.cli.inputs import now
from bootseal.cli.options import Json, PinFile, secret_source
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.check.expected import Target
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer
    from bootseal.keys.signers.offline import Recorder
    from bootseal.keys.signers.pin import SecretSource
    from bootseal.resign.plan import Signing
    from bootseal.resign.provenance import Record


class _Keys(NamedTuple):
    """Where the keys are; each pair is of the FIT's and the policy's."""

    directory: Path | None
    policy: bool
    sources: tuple[str | None, str | None]
    public: tuple[Path | None, Path | None]
    exports: Path | None
    imports: Path | None


def sign(
    image: DiskImage,
    *,
    keys: options.Keys = None,
    policy: options.Policy = False,
    key: options.Key = None,
    hint: options.Hint = "",
    algorithm: options.AlgorithmName = "",
    padding: options.Padding = "pkcs-1.5",
    policy_key: options.PolicyKey = None,
    public_key: options.PublicKey = None,
    policy_public_key: options.PolicyPublicKey = None,
    export_requests: options.Exports = None,
    import_signatures: options.Imports = None,
    trust: options.Trust = False,
    profile: options.Profile = "",
    output: options.Output = None,
    dtb: UBoot = None,
    dtb_output: options.DtbOutput = None,
    layout: Layout = None,
    module: options.Module = None,
    pin_file: PinFile = None,
    who: options.Who = "",
    as_json: Json = False,
) -> None:
    """Replace every signature of a finished disk by another key's; nothing else changes.

    The time of signing is SOURCE_DATE_EPOCH when that is set, and else that of the old signatures.

    Example: bootseal disk sign build/device --keys keys/production --trust -o build/signed

    Elsewhere: add --public-key fit.pub --hint fit-1 and --export-requests DIR, sign there as
    DIR/SUMMARY.txt says, then the same with --import-signatures DIR.
    """
    public = public_key, policy_public_key
    given = _Keys(keys, policy, (key, policy_key), public, export_requests, import_signatures)
    secret = secret_source(pin_file)
    fit, other, recorders = _signers(given, lambda source: _opened(source, secret, module))
    names = hint, algorithm, profile
    signing = _signing(fit, other, _named(keys, *names), padding=padding, trust=trust)
    if trust and not image.is_dir() and dtb_output is None:
        raise UsageError("--trust with an IMAGE needs --dtb-output: where U-Boot is written")
    target = target_of(image, dtb, layout, None)
    if export_requests is not None:
        _export(target, signing, recorders, export_requests)
        return
    record = _write(target, signing, output or image, dtb_output=dtb_output, who=who)
    _print(record, output or image, as_json=as_json)


def _signing(
    fit: Signer, policy: Signer | None, names: tuple[str, str, str], *, padding: str, trust: bool
) -> Signing:
    from bootseal.resign.plan import Signing

    hint, algorithm, profile = names
    if not hint:
        raise UsageError("--hint is missing: the name of the FIT key in FIT and U-Boot")
    return Signing(
        fit=fit,
        hint=hint,
        algorithm=_algorithm(algorithm, padding, fit.public_key),
        policy=policy,
        trust=trust,
        timestamp=_epoch(),
        profile=profile,
    )


def _export(target: Target, signing: Signing, recorders: list[Recorder], directory: Path) -> None:
    from bootseal.check import partitions
    from bootseal.disk.image import opened
    from bootseal.keys.signers import offline
    from bootseal.resign import plan as late

    with opened(target.image) as disk:
        late.request_all(disk, target, partitions.read(disk, disk.size), signing)
    wanted = offline.export(directory, recorders, str(target.image))
    console.status(f"OK: {len(wanted)} digests in {console.untrusted(str(directory))}")
    console.status(f"next: sign them as {offline.SUMMARY} there says, then --import-signatures")


def _write(
    target: Target, signing: Signing, output: Path, *, dtb_output: Path | None, who: str
) -> Record:
    from bootseal.check import partitions
    from bootseal.disk.image import opened
    from bootseal.files import write_file
    from bootseal.resign import apply
    from bootseal.resign import plan as late

    progress = console.TerminalProgress()
    with opened(target.image) as disk:
        if disk.path != target.image and output == target.image:
            raise UsageError(f"{target.image} is compressed: --output is missing")
        with progress.step("signed and verified"):
            plan = late.plan(disk, target, partitions.read(disk, disk.size), signing)
        with progress.step("copied, patched, compared and hashed"):
            record = apply.write(
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
        console.emit_json(
            {
                "schema": "bootseal.disk-signed/1",
                "output": str(where),
                "keys": dict(record.keys),
                "inputs": dict(record.inputs),
                "outputs": dict(record.outputs),
            }
        )
    for role, fingerprint in record.keys.items():
        console.status(f"OK: {console.untrusted(str(where))}: {role} signed by {fingerprint}")


def _signers(
    given: _Keys, open_source: Callable[[str], Signer]
) -> tuple[Signer, Signer | None, list[Recorder]]:
    """Return who signs FITs, who signs policies, and those of them that only note what is asked."""
    keys, policy, sources, public, exports, imports = given
    if sum(each is not None for each in (keys, sources[0], public[0])) != 1 or (
        exports is not None and imports is not None
    ):
        raise UsageError("expected one of --keys, --key and --public-key, and one step at a time")
    if public[0] is not None:
        return _elsewhere(public, exports, imports)
    if exports is not None or imports is not None or public[1] is not None:
        raise UsageError("signing elsewhere needs --public-key")
    fit = str(sources[0]) if keys is None else _key_file(keys, "fit")
    other = sources[1] if keys is None or not policy else _key_file(keys, "policy")
    return open_source(fit), None if other is None else open_source(other), []


def _elsewhere(
    public: tuple[Path | None, Path | None], exports: Path | None, imports: Path | None
) -> tuple[Signer, Signer | None, list[Recorder]]:
    """Return what stands for signers whose keys are on another machine."""
    from bootseal.keys.public import from_pem
    from bootseal.keys.signers.offline import Answers, Recorder

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
    from bootseal.keys.signers import base as signer

    return signer.open(source, secret, module=module)


def _key_file(directory: Path, role: str) -> str:
    from bootseal.keys.directory import directory as store
    from bootseal.keys.profile import Role

    return str(directory / f"{store.find(directory, Role(role)).name}.key")


def _named(directory: Path | None, hint: str, algorithm: str, profile: str) -> tuple[str, str, str]:
    """Return hint, algorithm and profile: as given, and else as a key directory has them."""
    if directory is None:
        return hint, algorithm, profile
    from bootseal.keys.directory import directory as store
    from bootseal.keys.profile import Role

    found = store.find(directory, Role.FIT)
    listed = store.list_keys(directory)
    return hint or found.name, algorithm or found.algorithm.name, profile or listed.profile


def _algorithm(name: str, padding: str, key: PublicKey) -> Algorithm:
    from bootseal.keys.algorithms import Algorithm

    return Algorithm.parse(name or f"sha256,{key.kind}", padding)


def _epoch() -> int | None:
    return now() if "SOURCE_DATE_EPOCH" in os.environ else None
