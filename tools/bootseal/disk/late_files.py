# SPDX-License-Identifier: MIT
"""The files of late signing: copied without reading holes, patched, compared, then put in place."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from bootseal.disk import source
from bootseal.disk.source import Disk
from bootseal.errors import ToolError
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.disk.late import Patch

_FICLONE: Final = 0x40049409
_CHUNK: Final = MIB
_ZEROS: Final = memoryview(bytes(_CHUNK))


def copy(origin: Path, target: Path) -> None:
    """Copy a file: by sharing its blocks where the file system can, else without its holes.

    Raises:
        OSError: There is no room.
    """
    with origin.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:
            size = os.fstat(reader.fileno()).st_size
            writer.truncate(size)
            _copy_data(reader.fileno(), writer.fileno(), size)


def _copy_data(reader: int, writer: int, size: int) -> None:
    start = 0
    while start < size:
        try:
            start = os.lseek(reader, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(reader, start, os.SEEK_HOLE)
        while start < end:
            done = os.copy_file_range(reader, writer, min(end - start, _CHUNK), start, start)
            if not done:
                raise OSError(errno.EIO, "the file became shorter while it was copied")
            start += done


def patch(path: Path, patches: Sequence[Patch]) -> None:
    """Write patches into a file, and make it last."""
    with path.open("r+b") as file:
        for each in patches:
            file.seek(each.offset)
            file.write(each.data)
        file.flush()
        os.fsync(file.fileno())


def compare(old: Path, new: Path, patches: Sequence[Patch]) -> None:
    """Check that two disks are the same but for the patches, and that these are there.

    Raises:
        ToolError: They are not.
    """
    with source.opened(old) as before, source.opened(new) as after:
        ranges = _between(patches, after.size)
        same = before.size == after.size and all(
            before.read(o, s) == after.read(o, s)
            for start, end in ranges
            for disk in (before, after)
            for first, last in disk.data(start, end)
            for o in range(first, last, _CHUNK)
            for s in (min(_CHUNK, last - o),)
        )
        if not same or any(after.read(p.offset, len(p.data)) != p.data for p in patches):
            raise ToolError(f"{new} was not written as it should be: the disk or memory is failing")


def _between(patches: Sequence[Patch], size: int) -> list[tuple[int, int]]:
    ends = [0]
    starts = []
    for each in sorted(patches, key=lambda each: each.offset):
        starts.append(each.offset)
        ends.append(each.offset + len(each.data))
    return list(zip(ends, [*starts, size], strict=True))


def digests(paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each file, in lower-case hex; several at a time."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(_digest, paths))


def _digest(path: Path) -> str:
    """Hash a file without reading its holes, which are most of a disk."""
    state, position = hashlib.sha256(), 0
    with path.open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        file = Disk(name=path, path=path, size=size, descriptor=raw.fileno())
        for start, end in (*file.data(0, size), (size, size)):
            for hole in range(position, start, _CHUNK):
                state.update(_ZEROS[: min(_CHUNK, start - hole)])
            for offset in range(start, end, _CHUNK):
                state.update(file.read(offset, min(_CHUNK, end - offset)))
            position = end
    return state.hexdigest()
