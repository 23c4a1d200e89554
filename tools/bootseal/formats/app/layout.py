# SPDX-License-Identifier: MIT
"""Where the three partitions of an application image are: root, its hash tree, its signature.

Spec: UAPI Discoverable Partitions Specification and Discoverable Disk Image (DDI); the places are
those that systemd-repart chooses.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError
from bootseal.formats import gpt
from bootseal.formats.gpt import GptEntry
from bootseal.units import GIB, KIB, SECTOR, align_up

ARCHITECTURE: Final = "arm64"
ROOT, VERITY, SIGNATURE = (f"root-{ARCHITECTURE}{end}" for end in ("", "-verity", "-verity-sig"))
TYPES: Final = {
    ROOT: "b921b045-1df0-41c3-af44-4c6f280d3fae",
    VERITY: "df3300ce-d69f-4c92-978c-9bfb0f38d820",
    SIGNATURE: "6db69de6-29f4-4758-a7a5-962190f00ce3",
}
"""Type GUIDs by the name of the partition, in the order of the disk."""
READ_ONLY: Final = 1 << 60
ATTRIBUTES: Final = {ROOT: READ_ONLY, VERITY: READ_ONLY, SIGNATURE: 0}
SIGNATURE_SIZE: Final = 16 * KIB
MAX_SIZE: Final = 8 * GIB
"""A larger image is refused."""

_GRAIN: Final = 4096
_START: Final = align_up(SECTOR + gpt.ROOM, _GRAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """An image to be.

    Attributes:
        disk: GUID of the disk.
        entries: Root, hash tree and signature.
        size: Bytes of the whole image.
    """

    disk: str
    entries: tuple[GptEntry, GptEntry, GptEntry]
    size: int

    def tables(self) -> dict[int, bytes]:
        """Return the protective MBR and both tables, by their offset."""
        return gpt.emit(self.entries, self.disk, self.size)


def plan(root_hash: bytes, data: int, tree: int) -> Layout:
    """Place the partitions of an image; every GUID follows from the root hash.

    Args:
        root_hash: The first half of it is the root's GUID, the second that of the tree.
        data: Bytes of the root, a multiple of 4096.
        tree: Bytes of its tree with the superblock, likewise.

    Raises:
        FormatError: The image would be too large.
    """
    sizes = (data, tree, SIGNATURE_SIZE)
    ids = (*guids(root_hash), str(uuid.uuid5(uuid.UUID(bytes=root_hash[:16]), SIGNATURE)))
    entries: list[GptEntry] = []
    place = _START
    for number, (name, size, unique) in enumerate(zip(TYPES, sizes, ids, strict=True), start=1):
        entry = GptEntry(
            number=number,
            name=name,
            type=TYPES[name],
            uuid=unique,
            offset=place,
            size=size,
            attributes=ATTRIBUTES[name],
        )
        entries.append(entry)
        place = entry.end
    total = align_up(place + gpt.ROOM, _GRAIN)
    if total > MAX_SIZE:
        raise FormatError(f"the image would have {total} bytes: expected at most {MAX_SIZE}")
    root, verity, signature = entries
    disk = str(uuid.uuid5(uuid.UUID(bytes=root_hash[:16]), "disk"))
    return Layout(disk=disk, entries=(root, verity, signature), size=total)


def guids(root_hash: bytes) -> tuple[str, str]:
    """Return the GUIDs of the root and of its tree that belong to a root hash of 32 bytes."""
    return str(uuid.UUID(bytes=root_hash[:16])), str(uuid.UUID(bytes=root_hash[16:]))
