# SPDX-License-Identifier: MIT
"""Files: read within bounds or mapped, and written so that they appear complete or not at all.

Nothing here waits for a pipe that nobody writes to, or reads a device that never ends.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from bootseal.errors import FormatError, UsageError
from bootseal.units import MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import BufferedReader

_Bytes: TypeAlias = bytes | bytearray | memoryview
_NEW: Final = 0o666


SMALL: Final = 16 * MIB
"""Bytes that a key, a document or a text may have."""

BOOT_LOADER: Final = 64 * MIB
"""Bytes that a boot loader or its device tree may have."""

_PIPED: Final = 256 * MIB
_KINDS: Final = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
)


@contextmanager
def opened(path: Path, *, devices: bool = False) -> Iterator[BufferedReader]:
    """Open a file for reading, but nothing that could block or never end.

    A pipe without a name is taken, such as that of `<(command)`.

    Args:
        path: The file.
        devices: Take block devices as well.

    Raises:
        UsageError: It is a FIFO, a socket or a device, or no file can have that name.
        OSError: It does not exist, is a directory, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:
        raise UsageError(f"{str(path)!r} cannot be the name of a file: {error}") from error
    try:
        _check_kind(path, descriptor, devices=devices)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        yield file


def _check_kind(path: Path, descriptor: int, *, devices: bool) -> None:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISREG(mode) or (devices and stat.S_ISBLK(mode)) or _nameless_pipe(descriptor):
        return
    kind = next(name for matches, name in _KINDS if matches(mode))
    raise UsageError(f"{path} is {kind}: expected a file")


def _nameless_pipe(descriptor: int) -> bool:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith("pipe:")


def read_bounded(path: Path, *, limit: int = SMALL) -> bytes:
    """Return what a small file holds.

    Args:
        path: The file.
        limit: Bytes it may have.

    Raises:
        UsageError: As `opened`.
        FormatError: It has more than that.
        OSError: As `opened`.
    """
    with opened(path) as file:
        return read_rest(file, str(path), limit=limit)


def read_rest(file: BinaryIO, name: str, *, limit: int) -> bytes:
    """Return what is left of an open file or pipe.

    Raises:
        FormatError: That is more than the limit; `name` names it.
    """
    # A size that is known is not read, nor is memory taken for it.
    known = 0
    if file.seekable():
        place = file.tell()
        known = file.seek(0, os.SEEK_END) - place
        file.seek(place)
    if known <= limit:
        data = file.read(limit + 1)
        if len(data) <= limit:
            return data
    raise FormatError(f"{name} has more than {format_size(limit)}, the most that is read of it")


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """Give a read-only view of a file without reading it.

    What cannot be mapped, a pipe or an empty file, is read.

    Raises:
        UsageError: As `opened`.
        FormatError: It is a pipe, and too much comes out of it.
        OSError: As `opened`.
    """
    with opened(path) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            yield memoryview(read_rest(file, str(path), limit=_PIPED))
            return
        # The map is left to the garbage collector: views of it may live on, in a model or a
        # traceback, and closing it under them would be another error.
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@contextmanager
def private(path: Path) -> Iterator[memoryview]:
    """Give a writable view of a file whose changes are private and not kept.

    Only the pages that are written to are copied.

    Raises:
        UsageError: As `mapped`, as are the others.
        FormatError: Likewise.
        OSError: Likewise.
    """
    with opened(path) as file:
        if not os.fstat(file.fileno()).st_size:
            yield memoryview(bytearray(read_rest(file, str(path), limit=_PIPED)))
            return
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def stretches(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of the stretches of a file between two offsets that are not holes.

    What is a hole reads as zeros; what is none may do so, too.
    """
    while start < end:
        try:
            first = os.lseek(descriptor, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        if first >= end:
            return
        last = min(os.lseek(descriptor, first, os.SEEK_HOLE), end)
        yield first, last
        start = last


def resolved(path: Path) -> Path:
    """Return a path without links; of links that lead to themselves, as far as they can be.

    Unlike `Path.resolve`, which fails on such links in its own way before Python 3.13.
    """
    return Path(os.path.realpath(path))


def write_new(path: Path, data: _Bytes, *, mode: int = _NEW) -> None:
    """Write a file that does not exist yet; it appears complete or not at all.

    Args:
        path: Where the file shall be; a symbolic link there is in the way too.
        data: Its content.
        mode: Its permissions, from which the umask takes as usual.

    Raises:
        UsageError: Something of that name exists, or the directory does not.
        OSError: The directory cannot be written to.
    """
    _check_directory(path, path.parent)
    import tempfile  # noqa: PLC0415 - slow to load, and most commands only read

    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as new:
        new.write(data)
        new.flush()
        os.fchmod(new.fileno(), _permitted(mode))
        os.fsync(new.fileno())
        try:
            os.link(new.name, path)
        except FileExistsError:
            raise UsageError(
                f"{path} exists and is not overwritten", hint="choose another file, or remove it"
            ) from None
    _sync_directory(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that a file stands for; wait for another process or thread that holds it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_file(path: Path, data: _Bytes, *, mode: int = _NEW) -> None:
    """Write a file next to its final place, then rename it there; see `write_parts`.

    Raises:
        UsageError: As `write_parts`, as are the others.
        OSError: Likewise.
    """
    write_parts(path, [data], mode=mode)


def write_parts(
    path: Path,
    parts: Iterable[_Bytes],
    *,
    mode: int = _NEW,
    check: Callable[[memoryview], object] | None = None,
) -> None:
    """Write the parts of a file next to its final place, then rename it there.

    At any moment, and if the process is killed, the old file or the new one is there. A file
    that is replaced hands its permissions on. A symbolic link is followed.

    Args:
        path: Where the file shall be.
        parts: Its content; no part is copied.
        mode: The permissions of a new file, from which the umask takes as usual.
        check: Called with a view of what was written; what it raises leaves the old file.

    Raises:
        UsageError: There is no such directory, or something there that is not a regular file, such
            as a device, which a file would take the place of.
        OSError: The directory cannot be written to.
    """
    target = resolved(path)
    _check_directory(path, target.parent)
    if target.exists() and not target.is_file():
        raise UsageError(f"{path} is not a regular file, and is not replaced by one")
    import tempfile  # noqa: PLC0415 - slow to load, and most commands only read

    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as new:
        temporary = Path(new.name)
        try:
            for part in parts:
                new.write(part)
            new.flush()
            if check is not None:
                with mapped(temporary) as view:
                    check(view)
            temporary.chmod(_mode(target, mode))
            os.fsync(new.fileno())
            temporary.replace(target)
            _sync_directory(target.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _check_directory(path: Path, directory: Path) -> None:
    if not directory.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {directory}")


def _mode(target: Path, new: int) -> int:
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return _permitted(new)


def _permitted(mode: int) -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask


def _sync_directory(directory: Path) -> None:
    """Make a rename last through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
