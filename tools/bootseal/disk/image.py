# SPDX-License-Identifier: MIT
"""A disk image as a file that can be read anywhere, whatever form it came in.

A raw image is read in place and its holes are never read. A compressed one is unpacked into a
temporary sparse file first, in pieces, so memory stays small whatever the size of the disk.
"""

from __future__ import annotations

import errno
import gzip
import logging
import mmap
import os
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

from bootseal import files
from bootseal.errors import FormatError, ToolError, UsageError
from bootseal.formats.kinds.kind import DISK, Kind, Wanted
from bootseal.formats.kinds.recognise import HEAD, check
from bootseal.units import GIB, MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

_log: Final = logging.getLogger(__name__)

MAX_SIZE: Final = 64 * GIB
"""A compressed image that unpacks to more is refused."""

_PACKED: Final = frozenset({Kind.GZIP, Kind.ZSTD})
_CHUNK: Final = MIB
_GRAIN: Final = 4096
_ZEROS: Final = bytes(_CHUNK)
# What zstd itself refuses to unpack without being told otherwise.
_ZSTD_WINDOW: Final = 128 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """An opened disk; reading is safe from several threads.

    Attributes:
        name: What it is called in messages: the file that was asked for.
        path: The raw file, temporary when `name` is compressed.
        size: Bytes.
        descriptor: The opened raw file.
    """

    name: Path
    path: Path
    size: int
    descriptor: int

    @classmethod
    def of_file(cls, file: IO[bytes], path: Path, name: Path | None = None) -> Disk:
        """Return a raw file that is open.

        Args:
            file: The file.
            path: Where it was opened.
            name: What it is called in messages; `path` if left out.
        """
        size = os.fstat(file.fileno()).st_size
        return cls(name=name or path, path=path, size=size, descriptor=file.fileno())

    @property
    def for_others(self) -> Path:
        """The opened file as another program can open it: at `path` may be another one by now."""
        return Path(f"/proc/{os.getpid()}/fd/{self.descriptor}")

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`.

        Raises:
            FormatError: The disk ends before them.
        """
        self._within(offset, size)
        parts: list[bytes] = []
        missing = size
        while missing > 0:
            part = os.pread(self.descriptor, missing, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            missing -= len(part)
        if missing:
            raise FormatError(f"the disk ends at {self.size:#x}, {missing} bytes too early")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, offset: int, buffer: memoryview) -> memoryview:
        """Fill a buffer with what is at `offset`, and return it.

        Raises:
            FormatError: The disk ends before that.
        """
        self._within(offset, len(buffer))
        filled = 0
        while filled < len(buffer):
            size = os.preadv(self.descriptor, [buffer[filled:]], offset + filled)
            if not size:
                raise FormatError(f"the disk ends at {self.size:#x}, within {len(buffer)} bytes")
            filled += size
        return buffer

    def _within(self, offset: int, size: int) -> None:
        # The system cannot even be asked for what is at numbers as large as a table may hold.
        if offset < 0 or offset + size > self.size:
            raise FormatError(f"the disk ends at {self.size:#x}: expected {size} bytes more")

    def same(self, first: int, other: int, size: int) -> bool:
        """Say whether the same bytes are at two offsets."""
        return all(
            self.read(first + at, min(_CHUNK, size - at))
            == self.read(other + at, min(_CHUNK, size - at))
            for at in range(0, size, _CHUNK)
        )

    def view(self, offset: int, size: int, *, private: bool = False) -> memoryview:
        """Return `size` bytes at `offset`, which are not read before they are accessed.

        Args:
            offset: Where they start.
            size: How many.
            private: They may be changed; no other view sees that.

        Raises:
            FormatError: The disk ends before them.
        """
        self._within(offset, size)
        if not size:
            return memoryview(b"")
        skip = offset % mmap.ALLOCATIONGRANULARITY
        access = mmap.ACCESS_COPY if private else mmap.ACCESS_READ
        mapped = mmap.mmap(self.descriptor, size + skip, access=access, offset=offset - skip)
        return memoryview(mapped)[skip:]

    def data(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield start and end of the stretches between two offsets that are not holes.

        What is a hole reads as zeros; what is none may do so, too.
        """
        yield from files.stretches(self.descriptor, start, min(end, self.size))

    def nonzero(self, start: int, end: int) -> int | None:
        """Return the offset of the first byte between two offsets that is not zero."""
        for first, last in self.data(start, end):
            for offset in range(first, last, _CHUNK):
                found = self.read(offset, min(_CHUNK, last - offset))
                if found != _ZEROS[: len(found)]:
                    return offset + len(found) - len(found.lstrip(b"\0"))
        return None


@contextmanager
def opened(path: Path, *, max_size: int = MAX_SIZE, wanted: Wanted = DISK) -> Iterator[Disk]:
    """Open a disk image, raw or compressed with gzip or zstd, or the one a `.bmap` file is about.

    Args:
        path: The image, or its `.bmap` file, which is next to it.
        max_size: Largest disk in bytes to unpack.
        wanted: What it must be, unless nothing says what it is.

    Raises:
        UsageError: There is no such image.
        FormatError: It is recognised as something else than a disk with a GPT, or the compressed
            image is damaged or larger than that.
        ToolError: There is no room to unpack it.
    """
    image = image_of(path) if path.suffix == ".bmap" else path
    if not image.exists():
        raise UsageError(f"there is no disk image {image}")
    if image.is_dir():
        raise UsageError(f"{image} is a directory: expected a disk image")
    with files.opened(image, devices=True) as file:
        kind = check(file.read(HEAD), wanted, str(image))
        _log.info("%s: %s", image, kind)
        file.seek(0)
        if kind not in _PACKED:
            size = file.seek(0, os.SEEK_END)
            yield Disk(name=image, path=image, size=size, descriptor=file.fileno())
            return
        with tempfile.NamedTemporaryFile(prefix="bootseal-disk-") as raw:
            try:
                size = _unpack(file, raw.file, gzipped=kind is Kind.GZIP, limit=max_size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                where = Path(raw.name).parent
                raise ToolError(
                    f"no space left to unpack {image} in {where}", hint="TMPDIR=DIR puts it there"
                ) from error
            disk = Disk(name=image, path=Path(raw.name), size=size, descriptor=raw.fileno())
            check(disk.view(0, min(size, HEAD)), _unpacked(wanted), f"what {image} holds")
            yield disk


def image_of(bmap: Path) -> Path:
    """Return the image that a `.bmap` file is about: the same name, as it is or compressed.

    Raises:
        UsageError: There is none.
    """
    base = bmap.with_suffix("")
    names = [base, *(base.with_name(base.name + end) for end in (".gz", ".zst"))]
    for name in names:
        if name.exists():
            return name
    raise UsageError(
        f"{bmap} has no image next to it: expected {base.name}, plain or with .gz or .zst"
    )


def _unpacked(wanted: Wanted) -> Wanted:
    return Wanted("a disk image with a GPT", wanted.kinds - _PACKED)


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _unpack(packed: IO[bytes], raw: IO[bytes], *, gzipped: bool, limit: int) -> int:
    """Write what `packed` holds to `raw`, with holes where it is empty; return the size."""
    if gzipped:
        try:
            return _copy(gzip.GzipFile(fileobj=packed), raw, limit)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(f"the compressed disk is damaged: {error}") from error
    import zstandard  # noqa: PLC0415 - only such images need it

    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    try:
        return _copy(unpacker.stream_reader(packed, read_across_frames=True), raw, limit)
    except zstandard.ZstdError as error:
        raise FormatError(f"the compressed disk is damaged: {error}") from error


def _copy(reader: _Reader, raw: IO[bytes], limit: int) -> int:
    size = 0
    while chunk := reader.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise FormatError(f"the compressed disk has more than {format_size(limit)}: refused")
        _write(raw, chunk)
    raw.truncate(size)
    raw.flush()
    return size


def _write(raw: IO[bytes], chunk: bytes) -> None:
    """Append a piece; what is empty in it is skipped."""
    view = memoryview(chunk)
    for start in range(0, len(chunk), _GRAIN):
        part = view[start : start + _GRAIN]
        if part == _ZEROS[: len(part)]:
            raw.seek(len(part), os.SEEK_CUR)
        else:
            raw.write(part)
