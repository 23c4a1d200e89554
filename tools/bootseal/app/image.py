# SPDX-License-Identifier: MIT
"""An application image as it is on the disk, every byte of it accounted for.

Three identifiers are left to the maker of an image, and nothing here reads them: the GUIDs of disk
and signature partition, and that in the tree's superblock. All others are those of the root and
its tree, of the signature, or have one value that they can have.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.disk import hash_tree, partitions
from bootseal.disk.hash_tree import Root
from bootseal.disk.image import Disk
from bootseal.errors import FormatError, VerificationRefused
from bootseal.files import opened as open_file
from bootseal.findings.catalogue import finding
from bootseal.findings.model import errors
from bootseal.formats import gpt, verity
from bootseal.formats.app import layout, signature
from bootseal.formats.app.layout import ATTRIBUTES, MAX_SIZE, ROOT, SIGNATURE, TYPES, VERITY
from bootseal.formats.kinds.kind import APPLICATION
from bootseal.formats.kinds.recognise import HEAD, check
from bootseal.formats.verity import BLOCK, Tree
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.disk.partitions import Table
    from bootseal.findings.model import Finding
    from bootseal.formats.app.signature import Signature
    from bootseal.formats.gpt import GptEntry
    from bootseal.formats.verity import Superblock

_LISTED: Final = 4
"""Bad blocks that get a finding each; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The parts of an image.

    Attributes:
        disk: GUID of the disk.
        root: The partition with the application.
        verity: That with its hash tree.
        signature: That with the signature.
        superblock: What is in front of the tree: its salt and its number of blocks.
        signed: The signature; None where that partition is empty.
    """

    disk: str
    root: GptEntry
    verity: GptEntry
    signature: GptEntry
    superblock: Superblock
    signed: Signature | None

    @property
    def root_hash(self) -> bytes:
        """The root hash that the GUIDs of root and tree say."""
        guids = (self.root.uuid, self.verity.uuid)
        return b"".join(bytes.fromhex(each.replace("-", "")) for each in guids)


@contextmanager
def opened(path: Path) -> Iterator[Disk]:
    """Open an image.

    Raises:
        UsageError: It is not a file.
        FormatError: It is recognised as something else, or too large.
        VerificationRefused: A link is in its place.
        OSError: There is none.
    """
    if path.is_symlink():
        raise VerificationRefused(
            f"{path} is a link: the checked file has to be the one that is started",
            hint=f"give the file itself: readlink -f {path}",
        )
    with open_file(path) as file:
        check(file.read(HEAD), APPLICATION, str(path))
        size = os.fstat(file.fileno()).st_size
        if size > MAX_SIZE:
            raise FormatError(f"{path} has {size} bytes: expected at most {MAX_SIZE}")
        yield Disk(name=path, path=path, size=size, descriptor=file.fileno())


def read(disk: Disk) -> tuple[Image | None, list[Finding]]:
    """Read an image without reading any block of the root or its tree.

    Returns:
        The image, None if its partitions could not be located; and all that is wrong with it.

    Raises:
        FormatError: It has no partition table at all, or another size than that says.
    """
    _check_size(disk)
    table = partitions.read(disk, disk.size)
    found = [*table.findings]
    if errors(found):
        return None, found
    found += _tables(table, disk.size)
    found += _partitions(table, disk.size)
    if errors(found):
        return None, found
    root, tree, signed = table.entries
    try:
        superblock = verity.parse_superblock(disk.read(tree.offset, BLOCK))
        end = Tree(root_hash=bytes(32), salt=superblock.salt, blocks=superblock.blocks).end
    except FormatError as error:
        return None, [*found, finding("app.superblock", VERITY, error.message, offset=tree.offset)]
    used = {ROOT: superblock.blocks * BLOCK, VERITY: end}
    for entry in (root, tree):
        if used[entry.name] > entry.size:
            message = f"{superblock.blocks} blocks take {used[entry.name]} bytes: it has fewer"
            return None, [*found, finding("app.superblock", entry.name, message)]
    found += _gaps(disk, table, used)
    document = None
    try:
        document = signature.parse(disk.read(signed.offset, signed.size))
    except FormatError as error:
        found.append(finding("app.signature", SIGNATURE, error.message, offset=signed.offset))
    image = Image(
        disk=table.copies[0].header.disk,
        root=root,
        verity=tree,
        signature=signed,
        superblock=superblock,
        signed=document,
    )
    return image, found


def blocks(disk: Disk, image: Image, root_hash: bytes) -> Iterator[Finding]:
    """Yield the blocks of root and tree that do not match a root hash."""
    tree = Tree(root_hash=root_hash, salt=image.superblock.salt, blocks=image.superblock.blocks)
    root = Root(name=ROOT, tree=tree, data=image.root.offset, hashes=image.verity.offset)
    count = 0
    with hash_tree.checking(disk, [root]) as bad:
        for each in bad:
            count += 1
            if count <= _LISTED:
                what = "block" if each.level == 0 else f"block of level {each.level} of the tree"
                message = f"{what} {each.number} does not match the root hash"
                where = VERITY if each.level else ROOT
                yield finding("app.block", where, message, offset=each.offset)
    if count > _LISTED:
        yield finding("app.block", ROOT, f"{count - _LISTED} more blocks are bad")


def _check_size(disk: Disk) -> None:
    try:
        end = gpt.parse_header(disk.read(SECTOR, SECTOR)).other + SECTOR
    except FormatError as error:
        raise FormatError(f"no partition table: {error.message}") from error
    if end != disk.size:
        what = "it was cut off" if end > disk.size else "bytes follow its end"
        raise FormatError(f"it has {disk.size} bytes and its table says {end}: {what}")


def _tables(table: Table, size: int) -> Iterator[Finding]:
    for copy in table.copies:
        header = copy.header
        observed = (header.count, header.first_usable, header.last_usable)
        expected = (128, SECTOR + gpt.ROOM, size - gpt.ROOM)
        if observed != expected:
            message = f"entries and first and last usable byte are {observed}: expected {expected}"
            yield finding("app.layout", f"{copy.name} GPT", message, offset=copy.place)


def _partitions(table: Table, size: int) -> Iterator[Finding]:
    names = [entry.name for entry in table.entries]
    if names != [*TYPES] or [entry.number for entry in table.entries] != [1, 2, 3]:
        message = f"partitions {', '.join(names) or '(none)'}: expected {', '.join(TYPES)}"
        yield finding("app.layout", "GPT", message)
        return
    end = SECTOR + gpt.ROOM
    for entry in table.entries:
        if entry.type != TYPES[entry.name]:
            message = f"it has type {entry.type}: expected {TYPES[entry.name]}"
            yield finding("app.layout", entry.name, message)
        if entry.attributes != ATTRIBUTES[entry.name]:
            message = f"attributes {entry.attributes:#x}: expected {ATTRIBUTES[entry.name]:#x}"
            yield finding("app.layout", entry.name, message)
        if entry.offset < end or entry.offset % BLOCK or entry.size % BLOCK:
            message = f"it is at {entry.offset:#x}, of {entry.size} bytes: expected whole blocks"
            yield finding("app.layout", entry.name, f"{message}, after {end:#x}")
        end = entry.end
    if end > size - gpt.ROOM:
        yield finding("app.layout", SIGNATURE, f"it ends at {end:#x}, in the backup table")
    if table.entries[-1].size != layout.SIGNATURE_SIZE:
        message = f"it has {table.entries[-1].size} bytes: expected {layout.SIGNATURE_SIZE}"
        yield finding("app.layout", SIGNATURE, message)


def _gaps(disk: Disk, table: Table, used: dict[str, int]) -> Iterator[Finding]:
    """Yield where something is that is neither in a table nor used of a partition."""
    place = SECTOR + gpt.ROOM
    for entry in table.entries:
        yield from _zeros(disk, place, entry.offset, f"in front of {entry.name}")
        place = entry.offset + used.get(entry.name, entry.size)
    yield from _zeros(disk, place, disk.size - gpt.ROOM, "in front of the backup table")


def _zeros(disk: Disk, start: int, end: int, where: str) -> Iterator[Finding]:
    offset = disk.nonzero(start, end)
    if offset is not None:
        message = f"there is data at {offset:#x}, where there must be none"
        yield finding("app.hidden-data", where, message, offset=offset)
