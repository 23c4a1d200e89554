# SPDX-License-Identifier: MIT
"""The block map of a disk image: what bmaptool writes, and the digests it checks.

Spec: bmaptool's bmap format 2.0 (bmaptools/BmapCreate.py).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.disk import workers
from bootseal.errors import FormatError
from bootseal.files import read_bounded
from bootseal.findings.catalogue import finding
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from bootseal.disk.image import Disk
    from bootseal.findings.model import Finding

_MAX_SIZE: Final = 16 * MIB
_CHUNK: Final = MIB
_RANGE: Final = re.compile(r"\s*([0-9]{1,12})(?:-([0-9]{1,12}))?\s*")
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_SUM: Final = re.compile(rb"(<BmapFileChecksum>\s*)([0-9a-f]{64})(\s*</BmapFileChecksum>)")
_VERSION: Final = "2.0"
_FORM: Final = """<?xml version="1.0" ?>
<bmap version="2.0">
    <ImageSize> {size} </ImageSize>
    <BlockSize> {block} </BlockSize>
    <BlocksCount> {count} </BlocksCount>
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {sum} </BmapFileChecksum>
    <BlockMap>
{ranges}
    </BlockMap>
</bmap>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bmap:
    """A block map; `ranges` are start, end (exclusive), and SHA-256 in lower-case hex."""

    block: int
    size: int
    ranges: tuple[tuple[int, int, str], ...]


def parse(data: bytes) -> Bmap:
    """Read a block map.

    Raises:
        FormatError: It is none of version 2.0 with SHA-256, or its own checksum does not fit.
    """
    if len(data) > _MAX_SIZE or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise FormatError("the block map is too large, or declares entities")
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - few disks have a block map

    try:
        root = ET.fromstring(data)  # noqa: S314 - without entities, and of bounded size
    except ET.ParseError as error:
        raise FormatError(f"the block map is not XML: {error}") from error
    texts = {child.tag: (child.text or "").strip() for child in root}
    if root.get("version") != _VERSION or texts.get("ChecksumType") != "sha256":
        raise FormatError(f"the block map is not of version {_VERSION} with sha256")
    own = _SUM.search(data)
    blank = _SUM.sub(rb"\g<1>" + b"0" * 64 + rb"\g<3>", data)
    if own is None or hashlib.sha256(blank).hexdigest().encode() != own[2]:
        raise FormatError("the block map does not match its own checksum")
    block, size = _number(texts, "BlockSize"), _number(texts, "ImageSize")
    ranges: list[tuple[int, int, str]] = []
    for each in root.iter("Range"):
        match, digest = _RANGE.fullmatch(each.text or ""), each.get("chksum", "")
        if match is None or _DIGEST.fullmatch(digest) is None:
            raise FormatError(f"the block map has the range {each.text!r} with digest {digest!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        start, end = first * block, min((last + 1) * block, size)
        if not (ranges[-1][1] if ranges else 0) <= start < end:
            raise FormatError(f"the block map's range {each.text!r} is out of order")
        ranges.append((start, end, digest))
    return Bmap(block=block, size=size, ranges=tuple(ranges))


def find(image: Path) -> Path | None:
    """Return the block map of an image: the file itself, or the one next to it, if there is one."""
    if image.suffix == ".bmap":
        return image
    base = image.with_suffix("") if image.suffix in {".gz", ".zst"} else image
    found = base.with_name(f"{base.name}.bmap")
    return found if found.exists() else None


def check(disk: Disk, image: Path) -> Iterator[Finding]:
    """Yield where a disk is not what the block map next to it says; nothing without one."""
    path = find(image)
    if path is None:
        return
    try:
        found = parse(read_bounded(path, limit=_MAX_SIZE))
    except FormatError as error:
        yield finding("disk.bmap", path.name, error.message)
        return
    if found.size != disk.size:
        yield finding(
            "disk.bmap", path.name, f"it is for a disk of {found.size} bytes: this has {disk.size}"
        )
        return
    sums = _digests(disk, [(start, end) for start, end, _ in found.ranges])
    for (start, _, expected), observed in zip(found.ranges, sums, strict=True):
        if observed != expected:
            message = f"the range at {start:#x} does not have its digest: bmaptool refuses it"
            yield finding("disk.bmap-digest", path.name, message, offset=start)
    end = 0
    for start, stop, _ in (*found.ranges, (disk.size, disk.size, "")):
        hidden = disk.nonzero(end, start)
        if hidden is not None:
            message = f"there is data at {hidden:#x}, which bmaptool would not copy"
            yield finding("disk.bmap-range", path.name, message, offset=hidden)
        end = stop


def renewed(old: Bmap, disk: Disk, changed: Iterable[tuple[int, int]]) -> bytes:
    """Write the block map of a disk that was changed in place.

    What is in the old map stays in the new one: what a map leaves out is not written to a device,
    and zeros that dm-verity covers must be.

    Args:
        old: The map of the disk as it was.
        disk: The disk as it is now.
        changed: First byte and first byte behind of what may have changed.
    """
    ranges: list[tuple[int, int]] = []
    for start, end in sorted([*((start, end) for start, end, _ in old.ranges), *changed]):
        first, behind = start // old.block, -(-end // old.block)
        if ranges and first <= ranges[-1][1]:
            first, behind = ranges[-1][0], max(ranges.pop()[1], behind)
        ranges.append((first, behind))
    spans = [(first * old.block, min(end * old.block, disk.size)) for first, end in ranges]
    lines = [
        f'        <Range chksum="{digest}"> {first}-{end - 1} </Range>'
        for (first, end), digest in zip(ranges, _digests(disk, spans), strict=True)
    ]
    blank = _FORM.format(
        size=disk.size,
        block=old.block,
        count=-(-disk.size // old.block),
        mapped=sum(end - first for first, end in ranges),
        sum="0" * 64,
        ranges="\n".join(lines),
    ).encode()
    own = hashlib.sha256(blank).hexdigest().encode()
    return _SUM.sub(rb"\g<1>" + own + rb"\g<3>", blank)


def _digests(disk: Disk, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Return the digest of each span, several at a time."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to load

    with ThreadPoolExecutor(workers.cores()) as pool:
        return list(pool.map(lambda span: _digest(disk, *span), spans))


def _digest(disk: Disk, start: int, end: int) -> str:
    digest = hashlib.sha256()
    for offset in range(start, end, _CHUNK):
        digest.update(disk.read(offset, min(_CHUNK, end - offset)))
    return digest.hexdigest()


def _number(texts: dict[str, str], name: str) -> int:
    text = texts.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not int(text):  # noqa: PLR2004
        raise FormatError(f"the block map's {name} is {text!r}: expected a number")
    return int(text)
