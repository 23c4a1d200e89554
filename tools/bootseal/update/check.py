# SPDX-License-Identifier: MIT
"""The whole check of a bundle: who signed it, each of its bytes, and what a slot would start.

Nothing of a bundle is looked at before what vouches for it: the manifest after its signature, the
file system after the hash tree that the manifest leads to. What is inside is then checked by the
same functions as a finished disk.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bootseal.check.disk import policy_key
from bootseal.disk import image, partitions
from bootseal.disk.image import Disk
from bootseal.errors import FormatError, VerificationRefused
from bootseal.files import opened
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, errors
from bootseal.formats.update import bundle, cms, enveloped
from bootseal.formats.update import manifest as manifests
from bootseal.formats.verity import BLOCK
from bootseal.keys import cms as messages
from bootseal.keys import envelope
from bootseal.update import contents, crypt, payload, release
from bootseal.update.release import FILES, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.check.expected import Expected
    from bootseal.check.firmware import Bank
    from bootseal.formats.update.cms import SignedData
    from bootseal.formats.update.manifest import Manifest
    from bootseal.keys.cms import Certificate
    from bootseal.keys.envelope import Opener
    from bootseal.progress import Progress

_MANIFEST: Final = "manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a bundle is held against.

    Attributes:
        target: The device it is for: its boot loader, slots and policy key.
        authority: The certificate of the one authority for updates.
        compatible: Which devices it must be for.
        lowest: Lowest rollback index that they accept.
        inside: Also look at what the root holds.
    """

    target: Expected
    authority: Certificate
    compatible: str
    lowest: int
    inside: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleVerdict:
    """What was found about a bundle.

    Attributes:
        findings: Everything; those about the signature first, and those only if it is wrong.
        size: Bytes of the file.
        signed: The signature; None for a bundle that is encrypted and was not opened.
        recipients: Of an encrypted bundle, who can open it: the serial numbers of certificates.
        manifest: What it holds; None where nothing vouches for it.
        rollback_index: Security version of the release; None where it was not looked at.
        loaders: The boot loaders that it brings; None for none, and where it was not looked at.
    """

    findings: tuple[Finding, ...]
    size: int
    signed: SignedData | None = None
    recipients: str = ""
    manifest: Manifest | None = None
    rollback_index: int | None = None
    loaders: Bank | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that refuse the bundle."""
        return errors(self.findings)

    def summary(self, *, inside: bool) -> str:
        """Return what was checked of an accepted bundle, and what was not.

        Args:
            inside: Whether the root was looked at.
        """
        checked = [
            *([f"it is encrypted for {self.recipients}"] if self.recipients else []),
            "the update CA certified its signer, for code signing",
            "every block matches its manifest",
            "the chain of trust leads from U-Boot's keys to every block of the root",
            f"rollback index {self.rollback_index}",
        ]
        unchecked = ["whether the release starts and stays up"]
        if any(each.id == "disk.firmware-unchecked" for each in self.findings):
            unchecked.insert(0, "the boot loaders that it brings, as no boot ROM is known")
        else:
            checked.append(self._boot_loaders())
        if any(each.id == "disk.policy-unchecked" for each in self.findings):
            unchecked.insert(0, "the PCR policies, as no key is known")
        else:
            checked.append("the PCR policies are signed with the key that opens the data")
        if not inside:
            unchecked.insert(0, "the contents of the root")
        return f"Checked: {'; '.join(checked)}. Not checked: {'; '.join(unchecked)}."

    def _boot_loaders(self) -> str:
        if self.loaders is None:
            return "it brings no boot loaders"
        version = " and ".join(
            str(each) for each in sorted({*self.loaders.verdict.counters.values()})
        )
        return f"the boot ROM accepts the boot loaders that it brings, of version {version}"


def check(
    path: Path, wanted: Wanted, progress: Progress, by: Opener | None = None
) -> BundleVerdict:
    """Check a bundle.

    Args:
        path: The bundle.
        wanted: What it is held against.
        progress: Told about the long steps.
        by: What opens the bundle, which then has to be encrypted.

    Raises:
        UsageError: There is no such file.
        FormatError: It is not a bundle, or one of another form.
        ToolError: A program that reads what is inside is not installed.
    """
    with opened(path) as file:
        disk = Disk.of_file(file, path)
        parts = bundle.parse(disk.view(0, disk.size))
        signed = cms.parse(parts.message)
        recipients = "" if signed else envelope.shown(enveloped.parse(parts.message))
        found = list(_opening(recipients, by))
        if signed is None and by is not None:
            signed, closed = _opened(parts.message, by)
            found += closed
        if signed is not None:
            found += _signature(signed, wanted)
        if signed is None or signed.content is None or errors(found):
            return BundleVerdict(
                findings=tuple(found), size=disk.size, signed=signed, recipients=recipients
            )
        manifest = manifests.parse(signed.content)
        form = manifests.CRYPT if recipients else manifests.VERITY
        found += _manifest(manifest, wanted, form)
        inner = contents.Found(findings=[])
        with progress.step(f"every block of the bundle ({parts.payload // BLOCK})"):
            damaged = list(payload.check(disk, parts.payload, manifest))
        found += damaged
        if not damaged and manifest.form == form:
            with _readable(disk, parts.payload, manifest) as plain:
                inner = contents.check(
                    plain, manifest, wanted.target, progress, inside=wanted.inside
                )
            found += inner.findings
            found += _rollback(inner.rollback_index, wanted.lowest)
    return BundleVerdict(
        findings=tuple(dict.fromkeys(found)),
        size=disk.size,
        signed=signed,
        recipients=recipients,
        manifest=manifest,
        rollback_index=inner.rollback_index,
        loaders=inner.loaders,
    )


def for_device(
    target: Expected,
    authority: Certificate,
    *,
    lowest: int | None = None,
    compatible: str = "",
    inside: bool = True,
) -> Wanted:
    """Return what a bundle for a built device is held against.

    What the device has today decides: the policy key that its data is enrolled with, and its
    rollback index, below which nothing is accepted.

    Args:
        target: The device.
        authority: The certificate of the authority for updates.
        lowest: Lowest rollback index, where it is not that of the device's disk.
        compatible: Which devices the bundle must be for, where it is not the device's name.
        inside: Also look at what the root holds.

    Raises:
        UsageError: The device has no slots.
        FormatError: Its disk is malformed.
        ToolError: A program that reads its root is not installed.
    """
    release.require_slots(target)
    if target.policy_key is None or lowest is None:
        with image.opened(target.image) as disk:
            if lowest is None:
                lowest = release.of_disk(disk, target).rollback_index
            if target.policy_key is None:
                key, _ = policy_key(disk, target, partitions.read(disk, disk.size))
                target = replace(target, policy_key=key)
    name = compatible or ("" if target.device is None else target.device.name)
    return Wanted(target=target, authority=authority, compatible=name, lowest=lowest, inside=inside)


def _opening(recipients: str, by: Opener | None) -> Iterator[Finding]:
    """Yield what is wrong with whether a bundle is encrypted."""
    if recipients and by is None:
        yield finding(
            "update.encrypted",
            messages.WHERE,
            f"the bundle is encrypted for {recipients}: its signature and manifest are inside",
        )
    if by is not None and not recipients:
        yield finding(
            "update.format", messages.WHERE, "the bundle is not encrypted: expected one that is"
        )


def _opened(message: bytes, by: Opener) -> tuple[SignedData | None, list[Finding]]:
    """Return the signature inside an encrypted message; else why there is none."""
    try:
        signed = cms.parse(envelope.unseal(message, by))
    except (FormatError, VerificationRefused) as error:
        return None, [finding("update.recipient", messages.WHERE, error.message)]
    if signed is None:
        return None, [finding("update.encrypted", messages.WHERE, "it is encrypted twice")]
    return signed, []


@contextmanager
def _readable(disk: Disk, size: int, manifest: Manifest) -> Iterator[Disk]:
    """Give the file system of a bundle, whose blocks were found good."""
    if manifest.form == manifests.VERITY:
        yield disk
        return
    with crypt.decrypted(disk, size, manifest) as plain:
        yield plain


def _signature(signed: SignedData, wanted: Wanted) -> Iterator[Finding]:
    if signed.content is None:
        yield finding(
            "update.format",
            messages.WHERE,
            "the signature does not contain a manifest: it is a bundle of format plain, which is "
            "read before it is checked",
        )
    else:
        yield from messages.check(signed, wanted.authority)


def _manifest(manifest: Manifest, wanted: Wanted, form: str) -> Iterator[Finding]:
    if manifest.form != form:
        message = f"the bundle's format is {manifest.form!r}: expected {form!r}"
        yield finding("update.format", _MANIFEST, message)
    if manifest.compatible != wanted.compatible:
        yield finding(
            "update.compatible",
            _MANIFEST,
            f"the bundle is for {manifest.compatible!r}: expected {wanted.compatible!r}",
            expected=wanted.compatible,
            observed=manifest.compatible,
        )
    observed = [image.slot for image in manifest.images]
    if observed != [*SLOTS]:
        yield finding(
            "update.images",
            _MANIFEST,
            f"it writes {', '.join(observed)}: expected {', '.join(SLOTS)}, in this order",
        )
    for each in manifest.images:
        expected = FILES.get(each.slot)
        if expected is not None and each.filename != expected:
            message = f"the image of {each.slot} is {each.filename}: expected {expected}"
            yield finding("update.images", _MANIFEST, message)


def _rollback(index: int | None, lowest: int) -> Iterator[Finding]:
    if index is not None and index < lowest:
        yield finding(
            "update.rollback",
            FILES[release.BOOT],
            f"the release has rollback index {index}: expected {lowest} or more",
            expected=str(lowest),
            observed=str(index),
        )
