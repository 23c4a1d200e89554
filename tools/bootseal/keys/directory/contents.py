# SPDX-License-Identifier: MIT
"""The contents of a directory: every file, including those in archives, within limits.

Nothing is followed, nothing is waited for, and what is not looked at is named.
"""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import BootsealError
from bootseal.files import read_bounded
from bootseal.formats.kinds.kind import Kind
from bootseal.formats.kinds.recognise import recognise
from bootseal.units import MIB, format_size

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE: Final = 64 * MIB
"""Bytes of one file, and of all that one archive holds."""

LINK: Final = "is a link, which is not followed"
_MAX_FILES: Final = 10_000
_MAX_MEMBERS: Final = 1000
_MAX_DEPTH: Final = 3
_MAX_SECONDS: Final = 60
_PACKED: Final = frozenset({Kind.GZIP, Kind.XZ, Kind.BZIP2, Kind.LZMA, Kind.TAR, Kind.ZIP})
_CLOSED: Final = frozenset(
    {
        *(Kind.ZSTD, Kind.LZ4, Kind.LZO, Kind.LZIP, Kind.CPIO),
        *(Kind.QCOW2, Kind.VMDK, Kind.VHDX, Kind.ANDROID_SPARSE),
        *(Kind.LUKS1, Kind.LUKS2, Kind.SQUASHFS, Kind.EROFS),
    }
)
_DAMAGED: Final = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(ValueError, EOFError, OSError, RuntimeError, NotImplementedError, OverflowError),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """A file, or one in an archive.

    Attributes:
        path: The file in the directory.
        inside: Its name in the archive, empty for the file itself.
        kind: What it is.
        data: Its content.
    """

    path: Path
    inside: str
    kind: Kind
    data: bytes

    @property
    def place(self) -> str:
        """The file, and the name in the archive if it is in one."""
        return f"{self.path}: {self.inside}" if self.inside else str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file that was not examined, and why.

    Attributes:
        path: Where.
        reason: Completes "... was not looked at: it ...".
    """

    path: str
    reason: str


def walk(directory: Path) -> Iterator[FilePart | Skipped]:
    """Yield every file under a directory.

    Raises:
        OSError: The directory itself cannot be read.
    """
    end = time.monotonic() + _MAX_SECONDS
    count = 0
    pending = sorted(directory.iterdir(), reverse=True)
    while pending:
        path = pending.pop()
        count += 1
        if count > _MAX_FILES or time.monotonic() > end:
            bound = f"{_MAX_FILES} files" if count > _MAX_FILES else f"{_MAX_SECONDS} seconds"
            yield Skipped(path=str(path), reason=f"is beyond the limit of {bound}, like others")
            return
        try:
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                pending += sorted(path.iterdir(), reverse=True)
            elif stat.S_ISREG(mode):
                yield from _parts(path, "", read_bounded(path, limit=MAX_FILE), 0, end)
            else:
                yield Skipped(path=str(path), reason=_special(mode))
        except BootsealError as error:
            yield Skipped(path=str(path), reason=f"cannot be read: {error.message}")
        except OSError as error:
            yield Skipped(path=str(path), reason=f"cannot be read: {error.strerror}")


def _special(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return LINK
    return "is a FIFO" if stat.S_ISFIFO(mode) else "is a socket or a device"


def _parts(
    path: Path, inside: str, data: bytes, depth: int, end: float
) -> Iterator[FilePart | Skipped]:
    kind = recognise(data)
    part = FilePart(path=path, inside=inside, kind=kind, data=data)
    yield part
    place = part.place
    if kind in _CLOSED:
        yield Skipped(path=place, reason=f"is {kind}, which is not unpacked")
    if kind not in _PACKED:
        return
    if depth == _MAX_DEPTH:
        yield Skipped(path=place, reason=f"is packed more than {_MAX_DEPTH} times")
        return
    left = MAX_FILE
    try:
        for name, content in _unpack(kind, data):
            left -= len(content)
            if left < 0:
                reason = f"holds more than {format_size(MAX_FILE)}, the most that is unpacked"
                yield Skipped(path=place, reason=reason)
                return
            if time.monotonic() > end:
                reason = f"holds more than is unpacked in {_MAX_SECONDS} seconds"
                yield Skipped(path=place, reason=reason)
                return
            within = "/".join(filter(None, (inside, name))) or "content"
            yield from _parts(path, within, content, depth + 1, end)
    except _DAMAGED as error:
        yield Skipped(path=place, reason=f"is {kind} that cannot be unpacked: {error}")


def _unpack(kind: Kind, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents; one that is too large is cut one byte behind the bound."""
    limit = MAX_FILE + 1
    match kind:
        case Kind.GZIP:
            gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
            yield "content", gzip.decompress(data, limit)
            _whole(eof=gzip.eof, rest=gzip.unused_data)
        case Kind.XZ | Kind.LZMA | Kind.BZIP2:
            stream = bz2.BZ2Decompressor() if kind is Kind.BZIP2 else lzma.LZMADecompressor()
            yield "content", stream.decompress(data, limit)
            _whole(eof=stream.eof, rest=stream.unused_data)
        case Kind.TAR:
            yield from _tar(data, limit)
        case _:
            yield from _zip(data, limit)


def _tar(data: bytes, limit: int) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, member in enumerate(archive):
            _bound(count)
            file = archive.extractfile(member) if member.isreg() else None
            if file is not None:
                yield member.name, file.read(limit)


def _zip(data: bytes, limit: int) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for count, member in enumerate(archive.infolist()):
            _bound(count)
            if not member.is_dir():
                with archive.open(member) as file:
                    yield member.filename, file.read(limit)


def _whole(*, eof: bool, rest: bytes) -> None:
    if not eof or rest.strip(b"\0"):
        raise ValueError("it is truncated, or has data after its first stream")


def _bound(count: int) -> None:
    if count >= _MAX_MEMBERS:
        raise ValueError(f"it has more than {_MAX_MEMBERS} members")
