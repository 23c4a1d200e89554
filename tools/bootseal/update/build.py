# SPDX-License-Identifier: MIT
"""Makes a bundle of what the disk of a device directory starts."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.disk.image import opened
from bootseal.errors import FormatError, UsageError
from bootseal.files import mapped, write_parts
from bootseal.formats.update import manifest as manifests
from bootseal.formats.update.bundle import trailer
from bootseal.formats.update.manifest import Image, Manifest
from bootseal.update import payload, release
from bootseal.update.release import FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bootseal.check.expected import Expected
    from bootseal.progress import Progress

_MAX_EPOCH: Final = (1 << 32) - 1
_BUILD: Final = "%Y%m%d%H%M%S"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a bundle says of itself: which devices it is for, and which release it is."""

    compatible: str
    version: str
    epoch: int


def build(
    target: Expected,
    identity: Identity,
    output: Path,
    seal: Callable[[bytes], bytes],
    progress: Progress,
) -> Manifest:
    """Write a bundle; it appears complete or not at all.

    Args:
        target: The device whose disk has the release.
        identity: What the bundle says of itself.
        output: The bundle.
        seal: Makes the CMS message of a manifest.
        progress: Told about the long steps.

    Raises:
        UsageError: The device has no slots, a manifest cannot have that version, or the bundle
            cannot be written where it should be.
        FormatError: The disk is malformed, or the time of its build.
        ToolError: mksquashfs is not installed, or failed.
    """
    with opened(target.image) as disk:
        found = release.of_disk(disk, target)
        images = {piece.slot: piece.chunks(disk) for piece in found.pieces}
        return pack(images, identity, output, seal, progress)


def pack(
    images: Mapping[str, Iterable[bytes]],
    identity: Identity,
    output: Path,
    seal: Callable[[bytes], bytes],
    progress: Progress,
) -> Manifest:
    """Write a bundle of images; it appears complete or not at all.

    Args:
        images: What is in each image by the class of slot, in the order of writing; of the root,
            pieces of a multiple of 4096 bytes, but for the last one.
        identity: What the bundle says of itself.
        output: The bundle.
        seal: Makes the CMS message of a manifest.
        progress: Told about the long steps.

    Raises:
        UsageError: A manifest cannot have that version, or the bundle cannot be written where it
            should be.
        FormatError: The time of the build is out of range.
        ToolError: mksquashfs is not installed, or failed.
    """
    _check(identity)
    with tempfile.TemporaryDirectory(prefix="bootseal-bundle-") as name:
        staging = Path(name)
        with progress.step("copy and hash the images"):
            copied = tuple(_copy(slot, chunks, staging) for slot, chunks in images.items())
        names = [each.filename for each in copied]
        names += [f"{each.filename}{manifests.SUFFIX}" for each in copied if each.adaptive]
        packed = staging / "payload"
        with progress.step("pack the images"):
            payload.pack(staging, names, packed, epoch=identity.epoch)
        with progress.step("hash every block of the bundle"):
            tree = payload.append_tree(packed)
        manifest = Manifest(
            compatible=identity.compatible,
            version=identity.version,
            build=datetime.fromtimestamp(identity.epoch, UTC).strftime(_BUILD),
            form=manifests.VERITY,
            root_hash=tree.root_hash.hex(),
            salt=tree.salt.hex(),
            tree_size=payload.tree_size(tree),
            images=copied,
        )
        text = manifests.emit(manifest)
        if manifests.parse(text) != manifest:
            raise FormatError("the written manifest differs from the intended one")
        with mapped(packed) as view:
            write_parts(output, [view, trailer(seal(text))])
    return manifest


def _check(identity: Identity) -> None:
    for option, text in (("version", identity.version), ("compatible", identity.compatible)):
        if not manifests.is_text(text):
            raise UsageError(
                f"--{option} is {text!r}: expected 1 to 128 characters of printable ASCII, no "
                "backslash, and no space at either end"
            )
    if not 0 <= identity.epoch <= _MAX_EPOCH:
        raise FormatError(
            f"the device was built at {identity.epoch}: expected seconds since 1970, at most "
            f"{_MAX_EPOCH}, the last that a file system of a bundle can have"
        )


def _copy(slot: str, chunks: Iterable[bytes], directory: Path) -> Image:
    """Copy an image to a file; of the root, the digests of its blocks to another."""
    path = directory / FILES[slot]
    adaptive = slot == release.ROOT
    digest = hashlib.sha256()
    blocks = []
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            if adaptive:
                blocks.append(payload.index([chunk]))
        size = file.tell()
    if adaptive:
        path.with_name(f"{path.name}{manifests.SUFFIX}").write_bytes(b"".join(blocks))
    return Image(
        slot=slot, filename=path.name, size=size, sha256=digest.hexdigest(), adaptive=adaptive
    )
