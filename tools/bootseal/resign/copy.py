# SPDX-License-Identifier: MIT
"""The files of a re-signed disk: copied without their holes, patched, compared, put in place."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from itertools import chain
from typing import TYPE_CHECKING, Final

from bootseal.disk import image
from bootseal.disk.image import Disk
from bootseal.errors import ToolError
from bootseal.files import opened
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bootseal.resign.plan import Patch

_FICLONE: Final = 0x40049409
_CHUNK: Final = MIB
_ZEROS: Final = memoryview(bytes(_CHUNK))


def copy(origin: Path, target: Path) -> None:
    """Copy a file: by sharing its blocks where the file system can, else without its holes.

    Raises:
        OSError: There is no room.
    """
    with opened(origin) as reader, target.open("wb") as writer:
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


def compare(old: Path, new: Path, patches: Sequence[Patch]) -> str:
    """Check that a disk is another one with patches in it, and return its SHA-256 in hex.

    Raises:
        ToolError: It is not.
    """
    state = hashlib.sha256()
    with image.opened(old) as before, image.opened(new) as after:
        same = before.size == after.size
        written = _written(before) | _written(after)
        for number in range(-(-after.size // _CHUNK) if same else 0):
            offset = number * _CHUNK
            size = min(_CHUNK, after.size - offset)
            if number not in written:
                state.update(_ZEROS[:size])
                continue
            found = after.read(offset, size)
            state.update(found)
            same = same and found == _patched(before.read(offset, size), offset, patches)
    if not same:
        raise ToolError(f"{new} was not written correctly: the disk or memory is failing")
    return state.hexdigest()


def _written(disk: Disk) -> set[int]:
    """Return the numbers of the pieces of a disk that are not altogether holes."""
    ranges = (range(s // _CHUNK, -(-e // _CHUNK)) for s, e in disk.data(0, disk.size))
    return set(chain.from_iterable(ranges))


def _patched(data: bytes, offset: int, patches: Sequence[Patch]) -> bytes:
    """Return a piece of the old disk with the patches that are in it."""
    end = offset + len(data)
    for each in patches:
        first, last = max(each.offset, offset), min(each.offset + len(each.data), end)
        if first < last:
            new = each.data[first - each.offset : last - each.offset]
            data = data[: first - offset] + new + data[last - offset :]
    return data


def digests(paths: Iterable[Path]) -> list[str]:
    """Return the SHA-256 of each file, in lower-case hex."""
    return [_digest(path) for path in paths]


def _digest(path: Path) -> str:
    """Hash a file without reading its holes, which are most of a disk."""
    state = hashlib.sha256()
    with path.open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        file = Disk(name=path, path=path, size=size, descriptor=raw.fileno())
        written = _written(file)
        for offset in range(0, size, _CHUNK):
            length = min(_CHUNK, size - offset)
            hole = offset // _CHUNK not in written
            state.update(_ZEROS[:length] if hole else file.read(offset, length))
    return state.hexdigest()
