# SPDX-License-Identifier: MIT
"""What is inside a bundle: the files that its manifest names, and what a slot would start of them.

The files are listed into one archive, in which they are looked at as partitions of a disk: both
slots would start the same ones.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.check import boot_chain, firmware, unallocated
from bootseal.disk.filesystems import squashfs
from bootseal.disk.image import Disk
from bootseal.disk.partitions import Table
from bootseal.errors import FormatError
from bootseal.files import opened
from bootseal.findings.catalogue import finding
from bootseal.formats.gpt import GptEntry
from bootseal.formats.update import manifest as manifests
from bootseal.measure.predict import predict
from bootseal.update import payload
from bootseal.update.release import BOOT, FILES, ROOT, VERITY, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.check.boot_chain import Chain
    from bootseal.check.expected import Expected
    from bootseal.disk.filesystems.node import Node
    from bootseal.findings.model import Finding
    from bootseal.formats.update.manifest import Image, Manifest
    from bootseal.progress import Progress

_WHERE: Final = "payload"
_INTERNAL: Final = "manifest.raucm"
"""RAUC puts the manifest next to the images as well, and does not read it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is inside a bundle.

    Attributes:
        findings: What is wrong.
        rollback_index: The lowest one of its configurations; None where there is nothing to start.
        loaders: The boot loaders that it brings; None for none.
    """

    findings: list[Finding]
    rollback_index: int | None = None
    loaders: firmware.Bank | None = None


def check(
    bundle: Disk, manifest: Manifest, target: Expected, progress: Progress, *, inside: bool
) -> Found:
    """Check the files of a bundle.

    Args:
        bundle: The bundle, whose hash tree was found good.
        manifest: Its manifest.
        target: The device it is for.
        progress: Told about the long steps.
        inside: Also look at what the root holds.

    Raises:
        ToolError: A program that reads a file system is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="bootseal-bundle-") as name:
        try:
            with progress.step("unpack the images"):
                nodes = squashfs.read(bundle.for_others, Path(name))
        except FormatError as error:
            return Found(findings=[finding("update.unreadable", _WHERE, error.message)])
        with _archive(bundle, nodes) as (archive, pieces):
            with progress.step("hash the images"):
                found = list(_files(archive, nodes, pieces, manifest))
            if any(name not in pieces for name in FILES.values()):
                return Found(findings=found)
            table = _table(pieces)
            found += _sizes(table, target)
            target = _of_bundle(target, bundle)
            about, loaders = _loaders(archive, table, target)
            found += about
            brought = (loaders,) if loaders else ()
            chain = boot_chain.check(archive, target, table, progress, brought)
            found += chain.findings
            gaps = unallocated.unused(archive, table, chain, brought)
            found += unallocated.check(archive, gaps)
            if inside:
                from bootseal.check import contents  # noqa: PLC0415 - slow to load

                with progress.step("contents of the root"):
                    found += contents.check(archive, target, table.entries)
            return Found(findings=found, rollback_index=_rollback_index(chain), loaders=loaders)


def _loaders(
    archive: Disk, table: Table, target: Expected
) -> tuple[list[Finding], firmware.Bank | None]:
    entry = table.entry(FILES[BOOT])
    return ([], None) if entry is None else firmware.check_brought(archive, entry, target)


@contextmanager
def _archive(bundle: Disk, nodes: list[Node]) -> Iterator[tuple[Disk, dict[str, Piece]]]:
    """Give the archive of the files as a disk, and where in it each file is, by its name."""
    contents = {node.path: node.content for node in nodes if node.content is not None}
    if not contents:
        yield bundle, {}
        return
    path = next(iter(contents.values())).path
    with opened(path) as file:
        disk = Disk.of_file(file, path, bundle.name)
        yield (
            disk,
            {
                name: Piece(slot=name, offset=content.offset, size=content.size)
                for name, content in contents.items()
            },
        )


def _files(
    archive: Disk, nodes: list[Node], pieces: dict[str, Piece], manifest: Manifest
) -> Iterator[Finding]:
    """Compare the files with what the manifest says of them."""
    named = {each.filename: each for each in manifest.images}
    indices = {f"{e.filename}{manifests.SUFFIX}": e for e in manifest.images if e.adaptive}
    for node in nodes:
        if node.path not in {*named, *indices, _INTERNAL, "", "."}:
            yield finding("update.extra", node.path, "the manifest does not name it")
        elif node.path in named and not node.regular:
            yield finding("update.image", node.path, "it is not a regular file")
    for name, image in named.items():
        if name not in pieces:
            yield finding("update.image", name, "the manifest names it, but it is missing")
        else:
            yield from _image(archive, pieces[name], image, pieces.get(f"{name}{manifests.SUFFIX}"))


def _image(archive: Disk, piece: Piece, image: Image, index: Piece | None) -> Iterator[Finding]:
    digest = hashlib.sha256()
    blocks = []
    for chunk in piece.chunks(archive):
        digest.update(chunk)
        if image.adaptive:
            blocks.append(payload.index([chunk]))
    if (piece.size, digest.hexdigest()) != (image.size, image.sha256):
        yield finding(
            "update.image",
            image.filename,
            f"it has {piece.size} bytes with SHA-256 {digest.hexdigest()}: the manifest says "
            f"{image.size} and {image.sha256}",
            expected=image.sha256,
            observed=digest.hexdigest(),
        )
    if image.adaptive and not _holds(archive, index, b"".join(blocks)):
        message = f"{image.filename}{manifests.SUFFIX} does not have the digests of its blocks"
        yield finding("update.index", image.filename, message)


def _holds(archive: Disk, piece: Piece | None, expected: bytes) -> bool:
    if piece is None or piece.size != len(expected):
        return False
    return b"".join(piece.chunks(archive)) == expected


def _table(pieces: dict[str, Piece]) -> Table:
    """Return the images as the partitions of a disk."""
    entries = tuple(
        GptEntry(
            number=number,
            name=name,
            type="",
            uuid="",
            offset=pieces[name].offset,
            size=pieces[name].size,
            attributes=0,
        )
        for number, name in enumerate(FILES.values(), start=1)
    )
    return Table(copies=(), entries=entries, findings=())


def _of_bundle(target: Expected, bundle: Disk) -> Expected:
    """Return a device whose slots are all in the images, and whose build predicts nothing."""
    slots = tuple(
        replace(
            slot,
            boot=FILES[BOOT],
            root=FILES[ROOT],
            verity=FILES[VERITY],
            root_hash="",
            pcrs={},
            events=(),
        )
        for slot in target.slots
    )
    return replace(target, image=bundle.name, slots=slots)


def _sizes(table: Table, target: Expected) -> Iterator[Finding]:
    """Yield which images do not fit the partitions; a boot image is exactly as large as its own.

    The end of a boot partition is the policy's place: a smaller image would leave the old one.
    """
    places = {each.name: each.size for each in target.partitions}
    for slot in target.slots:
        for kind, name in ((ROOT, slot.root), (VERITY, slot.verity), (BOOT, slot.boot)):
            entry, room = table.entry(FILES[kind]), places.get(name)
            if entry is None:
                continue
            if room is None:
                message = f"{name}, which it is for, is not among the partitions of the device"
                yield finding("update.size", entry.name, message)
            elif entry.size > room or (kind == BOOT and entry.size != room):
                exactly = "exactly" if kind == BOOT else "at most"
                message = f"it has {entry.size} bytes: expected {exactly} the {room} of {name}"
                yield finding("update.size", entry.name, message)


def _rollback_index(chain: Chain) -> int | None:
    """Return the lowest rollback index of what the slots would start."""
    found = []
    for fit in chain.fits:
        try:
            found.append(predict(fit.strict, fit.slot.configuration).rollback_index)
        except FormatError:
            return None
    return min(found, default=None)
