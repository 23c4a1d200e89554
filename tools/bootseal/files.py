# SPDX-License-Identifier: MIT
"""Files that are mapped instead of read, and appear complete or not at all when written."""

from __future__ import annotations

import mmap
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from bootseal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Bytes: TypeAlias = bytes | bytearray | memoryview
_NEW: Final = 0o666


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """Give a read-only view of a file without reading it.

    What cannot be mapped, such as a pipe or an empty file, is read.

    Raises:
        OSError: It does not exist or cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            yield memoryview(file.read())
            return
        # The map is left to the garbage collector: views of it may live on, in a model or a
        # traceback, and closing it under them would be an error of its own.
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@contextmanager
def private(path: Path) -> Iterator[memoryview]:
    """Give a writable view of a file whose changes are private and not kept.

    Only the pages that are written to are copied.

    Raises:
        OSError: It does not exist or cannot be read.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield memoryview(bytearray(file.read()))
            return
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def write_new(path: Path, data: _Bytes, *, mode: int = _NEW) -> None:
    """Write a file that does not exist yet; it appears complete or not at all.

    Args:
        path: Where the file shall be; a symbolic link there is in the way too.
        data: Its content.
        mode: Its permissions, from which the umask takes as usual.

    Raises:
        UsageError: There is something of that name, or no such directory.
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
    target = path.resolve()
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
