# SPDX-License-Identifier: MIT
"""Files in places where someone else may have put something: only regular ones are opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from bootseal_agent.errors import Refusal


def opened(path: Path) -> IO[bytes]:
    """Open a file to read it; a link, a FIFO or a device is not opened.

    Raises:
        Refusal: It is something else than a regular file.
        OSError: It is not there, or a link, or cannot be read.
    """
    return _regular(path, os.O_RDONLY, "rb")


def appended(path: Path) -> IO[bytes]:
    """Open a file, or make it, to read it and write at its end.

    Raises:
        Refusal: It is something else than a regular file.
        OSError: It is a link, or cannot be made or written.
    """
    return _regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, "ab+")


def write(path: Path, content: bytes) -> None:
    """Write a file; it is complete on the disk, or the old one is, whatever happens.

    Raises:
        OSError: It cannot be written.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    # Fails rather than write through anything that is there.
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
    sync(path.parent)


def sync(directory: Path) -> None:
    """Make a rename last through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _regular(path: Path, flags: int, mode: str) -> IO[bytes]:
    more = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags | more, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, mode)  # noqa: PTH123 - the caller's
    os.close(descriptor)
    raise Refusal(f"{path} is not a regular file")
