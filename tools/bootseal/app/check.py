# SPDX-License-Identifier: MIT
"""The whole check of an application image: its signature, each byte, its contents.

Nothing of an image is looked at before what vouches for it: the hash tree after the signature over
its root, the file system after every block of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.app import contents
from bootseal.app import image as images
from bootseal.check.rootfs import check as rootfs
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, errors
from bootseal.formats.app import layout
from bootseal.formats.app.layout import ROOT, SIGNATURE
from bootseal.keys import cms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.app.contents import Declared
    from bootseal.app.image import Image
    from bootseal.disk.image import Disk
    from bootseal.formats.app.signature import Signature
    from bootseal.keys.cms import Certificate
    from bootseal.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an image is checked against.

    Attributes:
        certificate: The one certificate whose key has to have signed it; None for any key.
        name: Name of the application it has to be; empty for any.
        inside: Also look at what it holds.
    """

    certificate: Certificate | None
    name: str = ""
    inside: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AppVerdict:
    """What was found about an image.

    Attributes:
        findings: Everything, what vouches for the rest first.
        size: Bytes of the file.
        image: Its parts; None where it has not the layout of an application.
        declared: What it says of itself; None where nothing vouches for that, or it was not looked
            at.
    """

    findings: tuple[Finding, ...]
    size: int
    image: Image | None = None
    declared: Declared | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that refuse the image."""
        return errors(self.findings)

    def summary(self) -> str:
        """Return what was checked of an accepted image, and what was not."""
        checked = [
            "the key of the certificate signed its root hash",
            "every block matches it",
            "there is nothing else in it but identifiers",
        ]
        unchecked = ["whether a device may run it"]
        if self.declared is None:
            unchecked.insert(0, "its contents")
        else:
            said = self.declared
            checked.append(f"it holds {said.release.name} {said.release.version}, /{said.entry}")
        return f"Checked: {'; '.join(checked)}. Not checked: {'; '.join(unchecked)}."


def check(path: Path, wanted: Wanted, progress: Progress) -> AppVerdict:
    """Check an image.

    Args:
        path: The image.
        wanted: What it is held against.
        progress: Told about the long steps.

    Raises:
        UsageError: It is not a file.
        FormatError: It is recognised as something else.
        VerificationRefused: A link is in its place.
        ToolError: fsck.erofs is not installed.
    """
    with images.opened(path) as disk:
        image, found = images.read(disk)
        if image is not None:
            found += _signature(image, wanted.certificate)
        if image is None or errors(found):
            return AppVerdict(findings=tuple(found), size=disk.size, image=image)
        with progress.step(f"every block of the image ({image.superblock.blocks})"):
            found += images.blocks(disk, image, image.root_hash)
        declared = None
        if wanted.inside and not errors(found):
            with progress.step("contents of the application"):
                declared, inner = _inside(disk, image, wanted.name)
            found += inner
    return AppVerdict(
        findings=tuple(dict.fromkeys(found)), size=disk.size, image=image, declared=declared
    )


def _signature(image: Image, pinned: Certificate | None) -> Iterator[Finding]:
    signed = image.signed
    if signed is None:
        message = "the image is not signed: its signature partition is empty"
        yield finding("app.unsigned", SIGNATURE, message)
        return
    if pinned is not None:
        yield from _signer(signed, pinned)
    expected = layout.guids(bytes.fromhex(signed.root_hash))
    for entry, guid in zip((image.root, image.verity), expected, strict=True):
        if entry.uuid != guid:
            yield finding(
                "app.root-hash",
                entry.name,
                f"its GUID is {entry.uuid}: expected {guid}, from the signed root hash",
                expected=guid,
                observed=entry.uuid,
            )


def _signer(signed: Signature, pinned: Certificate) -> Iterator[Finding]:
    yield from cms.check_detached(signed.message, signed.signed, pinned)
    if signed.certificate != cms.digest(pinned):
        yield finding(
            "app.certificate",
            SIGNATURE,
            f"certificateFingerprint is {signed.certificate}: expected {cms.digest(pinned)}",
            expected=cms.digest(pinned),
            observed=signed.certificate,
        )


def _inside(disk: Disk, image: Image, name: str) -> tuple[Declared | None, list[Finding]]:
    try:
        with rootfs.opened(disk, image.root) as nodes:
            found = [*contents.check(nodes)]
            if any(each.id in {"app.os-release", "app.entry"} for each in found):
                return None, found
            declared = contents.declared(nodes)
    except FormatError as error:
        message = f"its files cannot be checked: {error.message}"
        return None, [finding("disk.root-unreadable", ROOT, message, expected="erofs")]
    if name and declared.release.name != name:
        message = f"it is the application {declared.release.name!r}: expected {name!r}"
        found.append(
            finding("app.name", ROOT, message, expected=name, observed=declared.release.name)
        )
    return declared, found
