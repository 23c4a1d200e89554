# SPDX-License-Identifier: MIT
"""`bootseal disk sign`: sign a finished disk on the machine that has the keys."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.cli import chain_keys, console
from bootseal.cli.inputs import now
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import DiskImage, Json, pairs
from bootseal.cli.remote_keys import PANEL, ExportRequests, ImportSignatures, export, stand_ins
from bootseal.cli.target_options import TargetOptions
from bootseal.errors import UsageError
from bootseal.keys.signers.schemes import KEY_URI

if TYPE_CHECKING:
    from bootseal.check.expected import Expected
    from bootseal.firmware.chain import Key
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Access, Signer
    from bootseal.keys.signers.offline import Recorder
    from bootseal.resign.plan import Signing
    from bootseal.resign.provenance import Provenance

_HERE: Final = "Keys on this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalKeys:
    """Keys that this machine can use: those of a key directory, or one named by its URI."""

    directory: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            metavar="DIR",
            help="Key directory: its FIT key signs, and for a device with a boot ROM its boot "
            "loader keys.",
            rich_help_panel=_HERE,
        ),
    ] = None
    policy: Annotated[
        bool,
        typer.Option(
            "--policy",
            help="With --keys: its policy key signs the PCR policies.",
            rich_help_panel=_HERE,
        ),
    ] = False
    key: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help=f"FIT key ({KEY_URI}); needs --hint.", rich_help_panel=_HERE
        ),
    ] = None
    policy_key: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Key to sign the PCR policies with; if left out, they stay as they are.",
            rich_help_panel=_HERE,
        ),
    ] = None
    firmware_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URI",
            help="Boot loader key: mrk, fw-trusted, fw-nontrusted, fw-soc or fw-boot; repeat for "
            "each. With --keys, those of the directory sign.",
            rich_help_panel=_HERE,
        ),
    ] = None

    def signers(self, access: Access) -> tuple[Signer, Signer | None]:
        """Return the signers of FITs and of PCR policies."""
        from bootseal.keys.signers import base as signers

        fit, policy = str(self.key), self.policy_key
        if self.directory is not None:
            fit = _key_file(self.directory, "fit")
            policy = _key_file(self.directory, "policy") if self.policy else None
        return signers.open(fit, access), None if policy is None else signers.open(policy, access)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteKeys:
    """Keys of which this machine has the public half: two steps, with the signing in between."""

    public_key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Public half of the FIT key.", rich_help_panel=PANEL),
    ] = None
    policy_public_key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Public half of the policy key.", rich_help_panel=PANEL),
    ] = None
    firmware_public_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PEM",
            help="Public half of a boot loader key; may be repeated.",
            rich_help_panel=PANEL,
        ),
    ] = None
    export_requests: ExportRequests = None
    import_signatures: ImportSignatures = None

    def signers(self) -> tuple[Signer, Signer | None, list[Recorder]]:
        """Return what acts as the signers; recorders only note what they are asked to sign."""
        if self.export_requests is None and self.import_signatures is None:
            raise UsageError("--public-key needs --export-requests or --import-signatures")
        files = {
            role: path
            for role, path in (("fit", self.public_key), ("policy", self.policy_public_key))
            if path is not None
        }
        signers, recorders = stand_ins(files, self.import_signatures)
        return signers["fit"], signers.get("policy"), recorders


def sign(
    image: DiskImage,
    *,
    here: LocalKeys,
    elsewhere: RemoteKeys,
    opening: KeyOptions,
    target: TargetOptions,
    hint: Annotated[
        str, typer.Option(help="Key name hint: the FIT key's name in the FIT and in U-Boot.")
    ] = "",
    algorithm: Annotated[
        str,
        typer.Option(help="For example sha384,rsa4096; if left out, sha256 and the key's kind."),
    ] = "",
    padding: Annotated[str, typer.Option(help="RSA padding: pkcs-1.5 or pss.")] = "pkcs-1.5",
    trust: Annotated[
        bool, typer.Option("--trust", help="Make U-Boot require this key, and no other.")
    ] = False,
    profile: Annotated[
        str, typer.Option(help="Key profile to record for the device; that of --keys if left out.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of over the original.")
    ] = None,
    dtb_output: Annotated[
        Path | None, typer.Option(help="With an IMAGE and --trust: write U-Boot here.")
    ] = None,
    who: Annotated[str, typer.Option(help="Name of the signer, for the provenance record.")] = "",
    as_json: Json = False,
) -> None:
    """Replace every signature on a finished disk with another key's; nothing else changes.

    The signing time is SOURCE_DATE_EPOCH if that is set, otherwise that of the old signatures.

    Example: bootseal disk sign build/device --keys keys/production --trust -o build/signed

    With the key on another machine: add --public-key fit.pub --hint fit-1 --export-requests DIR,
    sign there as DIR/SUMMARY.txt says, then run the same with --import-signatures DIR.
    """
    fit, policy, recorders = _signers(here, elsewhere, opening.access())
    names = _named(here.directory, hint, algorithm, profile)
    signing = _signing(fit, policy, names, padding=padding, trust=trust)
    if trust and not image.is_dir() and dtb_output is None:
        raise UsageError("--trust with an IMAGE needs --dtb-output: where U-Boot is written")
    expected = target.expected(image)
    chain, more = _chain(here, elsewhere, expected, opening.access())
    signing, recorders = replace(signing, firmware=chain), [*recorders, *more]
    if elsewhere.export_requests is not None:
        _export(expected, signing, recorders, elsewhere.export_requests)
        return
    record = _write(expected, signing, output or image, dtb_output=dtb_output, who=who)
    _print(record, output or image, as_json=as_json)


def _signers(
    here: LocalKeys, elsewhere: RemoteKeys, access: Access
) -> tuple[Signer, Signer | None, list[Recorder]]:
    """Return the signers of FITs and of PCR policies, and those of them that only record."""
    if sum(each is not None for each in (here.directory, here.key, elsewhere.public_key)) != 1 or (
        elsewhere.export_requests is not None and elsewhere.import_signatures is not None
    ):
        raise UsageError("expected one of --keys, --key and --public-key, and one step at a time")
    if elsewhere.public_key is not None:
        return elsewhere.signers()
    step = elsewhere.export_requests or elsewhere.import_signatures
    if elsewhere.policy_public_key or bool(step) != bool(elsewhere.firmware_public_key):
        raise UsageError(
            "signing elsewhere needs --public-key or --firmware-public-key, and --export-requests "
            "or --import-signatures"
        )
    return *here.signers(access), []


def _chain(
    here: LocalKeys, elsewhere: RemoteKeys, target: Expected, access: Access
) -> tuple[dict[Key, Signer], list[Recorder]]:
    """Return the signers of boot loaders, and those that only record; none without a boot ROM."""
    uris = pairs("--firmware-key", here.firmware_key, "NAME=URI")
    named = pairs("--firmware-public-key", elsewhere.firmware_public_key, "NAME=PEM")
    if target.firmware is None:
        if uris or named:
            raise UsageError(f"{target.image} is not known to be of a device with a boot ROM")
        return {}, []
    if not (uris or named or here.directory):
        return {}, []
    halves = {name: Path(file) for name, file in named.items()}
    remote, recorders = stand_ins(halves, elsewhere.import_signatures)
    found = chain_keys.signers(uris, remote, halves.values(), here.directory, access)
    return found, recorders


def _signing(
    fit: Signer, policy: Signer | None, names: tuple[str, str, str], *, padding: str, trust: bool
) -> Signing:
    from bootseal.resign.plan import Signing

    hint, algorithm, profile = names
    if not hint:
        raise UsageError("--hint is missing: the FIT key's name in the FIT and in U-Boot")
    return Signing(
        fit=fit,
        hint=hint,
        algorithm=_algorithm(algorithm, padding, fit.public_key),
        policy=policy,
        trust=trust,
        timestamp=_epoch(),
        profile=profile,
    )


def _export(target: Expected, signing: Signing, recorders: list[Recorder], directory: Path) -> None:
    from bootseal.disk import partitions
    from bootseal.disk.image import opened
    from bootseal.resign import plan as late

    with opened(target.image) as disk:
        late.request_all(disk, target, partitions.read(disk, disk.size), signing)
    export(directory, recorders, target.image)


def _write(
    target: Expected, signing: Signing, output: Path, *, dtb_output: Path | None, who: str
) -> Provenance:
    from bootseal.disk import partitions
    from bootseal.disk.image import opened
    from bootseal.files import write_file
    from bootseal.resign import apply
    from bootseal.resign import plan as late

    progress = console.TerminalProgress()
    with opened(target.image) as disk:
        if disk.path != target.image and output == target.image:
            raise UsageError(f"{target.image} is compressed: --output is missing")
        with progress.step("sign and verify"):
            plan = late.plan(disk, target, partitions.read(disk, disk.size), signing)
        with progress.step("copy, patch, compare and hash"):
            record = apply.write(
                target,
                plan,
                signing,
                disk.path,
                output,
                who=who or _me(),
                when=datetime.fromtimestamp(now(), UTC).isoformat(),
            )
    if plan.control is not None and dtb_output is not None:
        write_file(dtb_output, plan.control)
    return record


def _me() -> str:
    """Return user and host; a user who has no name, as in a container, is a number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _print(record: Provenance, where: Path, *, as_json: bool) -> None:
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
        console.status("OK: {}: {} signed by {}", where, role, fingerprint)


def _key_file(directory: Path, role: str) -> str:
    from bootseal.keys.directory import directory as key_directory
    from bootseal.keys.profile import Role

    return str(directory / f"{key_directory.find(directory, Role(role)).name}.key")


def _named(directory: Path | None, hint: str, algorithm: str, profile: str) -> tuple[str, str, str]:
    """Return hint, algorithm and profile: as given, and else as a key directory has them."""
    if directory is None:
        return hint, algorithm, profile
    from bootseal.keys.directory import directory as key_directory
    from bootseal.keys.profile import Role

    found = key_directory.find(directory, Role.FIT)
    listed = key_directory.list_keys(directory)
    return hint or found.name, algorithm or found.algorithm.name, profile or listed.profile


def _algorithm(name: str, padding: str, key: PublicKey) -> Algorithm:
    from bootseal.keys.algorithms import Algorithm

    return Algorithm.parse(name or f"sha256,{key.kind}", padding)


def _epoch() -> int | None:
    return now() if "SOURCE_DATE_EPOCH" in os.environ else None
