# SPDX-License-Identifier: MIT
"""The cpio archive the kernel unpacks as its first root file system ("newc").

Written here so that device nodes need no root rights and equal input gives equal bytes.

Spec: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError, UsageError

_MAGIC: Final = b"070701"
_TRAILER: Final = "TRAILER!!!"
_HEADER: Final = 110
_EPOCH_MAX: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, owned by root.

    Attributes:
        name: Path without the leading slash.
        mode: Type and permissions, as in `st_mode`.
        data: Content of a file, or target of a symbolic link.
        device: Major and minor number of a device node.
    """

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str) -> Entry:
    """Describe a directory that everyone may read."""
    return Entry(name=name, mode=stat.S_IFDIR | 0o755)


def file(name: str, data: bytes, *, mode: int = 0o644) -> Entry:
    """Describe a regular file."""
    return Entry(name=name, mode=stat.S_IFREG | mode, data=data)


def symlink(name: str, target: str) -> Entry:
    """Describe a symbolic link."""
    return Entry(name=name, mode=stat.S_IFLNK | 0o777, data=os.fsencode(target))


def character_device(name: str, major: int, minor: int) -> Entry:
    """Describe a character device that only root may use."""
    return Entry(name=name, mode=stat.S_IFCHR | 0o600, device=(major, minor))


def pack(entries: Iterable[Entry], *, epoch: int) -> bytes:
    """Write an archive.

    Args:
        entries: The files; a directory comes before what it holds.
        epoch: Modification time of every file, seconds since 1970.

    Raises:
        UsageError: A name occurs twice, lacks its directory, or the time does not fit.
    """
    if not 0 <= epoch <= _EPOCH_MAX:
        raise UsageError(
            f"the time {epoch} does not fit a cpio archive: expected 0 to {_EPOCH_MAX}"
        )
    parts: list[bytes] = []
    seen: set[str] = set()
    for entry in entries:
        parent = entry.name.rpartition("/")[0]
        if entry.name in seen or (parent and parent not in seen):
            raise UsageError(f"{entry.name!r} occurs twice in the archive or before its directory")
        seen.add(entry.name)
        parts.append(_record(entry, inode=len(seen), epoch=epoch))
    parts.append(_record(Entry(name=_TRAILER, mode=0), inode=0, epoch=0))
    return b"".join(parts)


def content(archive: bytes, name: str) -> bytes:
    """Return the content of a file of an archive that `pack` wrote.

    Args:
        archive: The archive.
        name: Path of the file without the leading slash.

    Raises:
        FormatError: There is no such file.
    """
    place = 0
    while archive[place : place + len(_MAGIC)] == _MAGIC:
        fields = archive[place + len(_MAGIC) : place + _HEADER]
        size, length = (int(fields[8 * number :][:8], 16) for number in (6, 11))
        start = _aligned(place + _HEADER + length)
        if archive[place + _HEADER :][: length - 1] == os.fsencode(name):
            return archive[start : start + size]
        place = _aligned(start + size)
    raise FormatError(f"the archive holds no {name}")


def _record(entry: Entry, *, inode: int, epoch: int) -> bytes:
    name = os.fsencode(entry.name) + b"\0"
    fields = (
        inode, entry.mode, 0, 0, 1, epoch, len(entry.data), 0, 0, *entry.device, len(name), 0,
    )  # fmt: skip
    header = _MAGIC + b"".join(b"%08x" % field for field in fields) + name
    return _padded(header) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data.ljust(_aligned(len(data)), b"\0")


def _aligned(place: int) -> int:
    return place + -place % 4
