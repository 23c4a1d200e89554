# SPDX-License-Identifier: MIT
"""`bootseal update check`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.disk.printing import print_findings
from bootseal.cli.key_options import SecretOptions
from bootseal.cli.options import Json, PolicyKey
from bootseal.cli.update import printing
from bootseal.cli.update.keys import AuthorityOptions
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.keys.envelope import Opener
    from bootseal.update.check import BundleVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientOptions(SecretOptions):
    """The key of one who may read an encrypted bundle."""

    decrypt_key: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY",
            help="Key of a recipient, to look into an encrypted bundle; needs "
            "--decrypt-certificate.",
        ),
    ] = None
    decrypt_certificate: Annotated[
        Path | None, typer.Option(metavar="CRT", help="Certificate of that key.")
    ] = None

    def opener(self) -> Opener | None:
        """Return what decrypts; None if no key is named.

        Raises:
            UsageError: One of the two is missing, or they do not belong together.
            FormatError: One of them cannot be read.
        """
        from bootseal.keys import certificate, envelope
        from bootseal.keys.signers import file

        if self.decrypt_key is None and self.decrypt_certificate is None:
            return None
        if self.decrypt_key is None or self.decrypt_certificate is None:
            raise UsageError("expected both --decrypt-key and --decrypt-certificate, or neither")
        key = file.read_key(self.decrypt_key, self.secret())
        return envelope.opener(key, certificate.read(self.decrypt_certificate))


def check(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle to check.")],
    device: Annotated[
        Path,
        typer.Argument(
            metavar="DEVICE",
            help="Build directory of the devices that the bundle is for: their boot loader, slots "
            "and policy key.",
        ),
    ],
    *,
    authority: AuthorityOptions,
    recipient: RecipientOptions,
    policy_key: PolicyKey = None,
    lowest: Annotated[
        int | None,
        typer.Option(
            metavar="INDEX",
            min=0,
            help="Lowest rollback index that devices accept; that of DEVICE if left out.",
        ),
    ] = None,
    compatible: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Devices that the bundle must be for; DEVICE's name if left out."
        ),
    ] = "",
    inside: Annotated[bool, typer.Option(help="Also check the contents of the root.")] = True,
    everything: Annotated[
        bool, typer.Option("--all", help="Print every finding, not only errors and warnings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check an update bundle: its signature, each of its bytes, and what a device would start.

    The signature is verified first, then every block, then the contents, as in disk check. Of an
    encrypted bundle, nothing but its recipients can be told without the key of one of them.

    Exits with 0 if there are no errors, with 3 if there are, and with 4 if it is not a bundle.

    Example: bootseal update check release.raucb build/device --keys keys
    """
    from bootseal.check import expected
    from bootseal.cli.inputs import naming, read
    from bootseal.findings.model import refuse
    from bootseal.formats.kinds.kind import PUBLIC_KEY
    from bootseal.keys.public import from_pem
    from bootseal.update import check as update_check

    key = None if policy_key is None else from_pem(read(policy_key, PUBLIC_KEY))
    target = expected.of_device(device, policy_key=key)
    wanted = update_check.for_device(
        target,
        authority.certificate_of_authority(device),
        lowest=lowest,
        compatible=compatible,
        inside=inside,
    )
    opener = recipient.opener()
    with naming(bundle):
        verdict = update_check.check(bundle, wanted, console.TerminalProgress(), opener)
    if as_json:
        _emit(bundle, verdict)
    else:
        print_findings(verdict.findings, everything=everything)
    refuse(verdict.findings, f"{bundle} is refused")
    console.status("OK: {} is accepted. {}", bundle, verdict.summary(inside=inside))


def _emit(bundle: Path, verdict: BundleVerdict) -> None:
    known = {}
    if verdict.manifest is not None and verdict.signed is not None:
        known = printing.facts(verdict.manifest, verdict.signed, verdict.size)
    console.emit_json(
        {
            "schema": "bootseal.bundle-verdict/1",
            "accepted": not verdict.errors,
            "bundle": bundle.name,
            "encrypted_for": verdict.recipients,
            **known,
            "rollback_index": verdict.rollback_index,
            "boot_loaders": _boot_loaders(verdict),
            "findings": [dataclasses.asdict(each) for each in verdict.findings],
        }
    )


def _boot_loaders(verdict: BundleVerdict) -> dict[str, object] | None:
    from bootseal.check.firmware import described

    return None if verdict.loaders is None else described(verdict.loaders)
