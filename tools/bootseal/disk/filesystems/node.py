# SPDX-License-Identifier: MIT
"""The files of a root file system image, read without root and without mounting anything.

Each kind of file system is read by its own well-kept program, within bounds on time, memory and
what it may write, and only into a directory made for it. The maker of the image chose every name
in it, so nothing here follows a link or takes a name as a place to write to.
"""

from __future__ import annotations

import mmap
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseal import proc
from bootseal.errors import FormatError, ToolError
from bootseal.units import GIB, MIB

MAX_ENTRIES: Final = 1 << 20
MAX_CONTENT: Final = 8 * GIB
"""Bytes of all files together; an image that claims more is refused, as a bomb would be."""
TIMEOUT: Final = 600.0

_MEMORY: Final = 2 * GIB
_SMALL: Final = 8 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Where the bytes of a file are: a range of another file."""

    path: Path
    offset: int
    size: int

    @contextmanager
    def view(self) -> Iterator[mmap.mmap | bytes]:
        """Give the bytes, mapped where they are a whole file.

        Raises:
            FormatError: They are not there, or there is a link in their place.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise FormatError(f"{self.path.name} was not extracted: {error.strerror}") from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size < self.offset + self.size:
                raise FormatError(f"{self.path.name} was not extracted completely")
            if not self.size:
                yield b""
                return
            if not self.offset:
                with mmap.mmap(descriptor, self.size, access=mmap.ACCESS_READ) as mapped:
                    yield mapped
            elif self.size <= _SMALL:
                yield os.pread(descriptor, self.size, self.offset)
            else:
                # What does not begin on a page cannot be mapped where it is.
                with tempfile.TemporaryFile(dir=self.path.parent) as copy:
                    _copy(descriptor, copy.fileno(), self.offset, self.size)
                    with mmap.mmap(copy.fileno(), self.size, access=mmap.ACCESS_READ) as mapped:
                        yield mapped
        finally:
            os.close(descriptor)

    def read(self, limit: int) -> bytes:
        """Return the first `limit` bytes.

        Raises:
            FormatError: They are not there.
        """
        first = Content(path=self.path, offset=self.offset, size=min(limit, self.size))
        with first.view() as data:
            return data[:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One name in the tree.

    Attributes:
        path: Without leading slash; bytes that are not UTF-8 are escaped as Python does.
        mode: Type and permissions, as in `stat`.
        uid: Owner.
        gid: Group.
        size: Bytes.
        target: What a symbolic link points to.
        content: The bytes of a regular file; None for anything else.
        capabilities: What its attribute `security.capability` holds; empty without one.
    """

    path: str
    mode: int
    uid: int
    gid: int
    size: int
    target: str = ""
    content: Content | None = None
    capabilities: bytes = b""

    @property
    def regular(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)


def _copy(source: int, target: int, offset: int, size: int) -> None:
    while size > 0:
        done = os.copy_file_range(source, target, size, offset)
        if not done:
            raise FormatError("an extracted file became shorter while it was read")
        offset, size = offset + done, size - done


def text(raw: bytes) -> str:
    """Decode a name."""
    return raw.decode(errors="surrogateescape")


def bounded(tool: str, args: Sequence[str | Path], *, cwd: Path, output: Path) -> str:
    """Run a program within bounds on memory, time and the size of what it writes.

    Args:
        tool: Program name.
        args: Arguments; relative paths start from our own directory, not from `cwd`.
        cwd: Directory to run in.
        output: File that receives its standard output.

    Returns:
        What it said on standard error.

    Raises:
        FormatError: It failed, which is how these programs answer a damaged image.
        ToolError: It, or prlimit, is not installed.
    """
    program, limiter = proc.find_tool(tool), proc.find_tool("prlimit")
    limits = [f"--as={_MEMORY}", f"--fsize={MAX_CONTENT}", f"--cpu={int(TIMEOUT)}", "--core=0"]
    absolute = [arg.absolute() if isinstance(arg, Path) else arg for arg in args]
    command = [*limits, "--", program, *absolute]
    try:
        done = proc.run(limiter, command, cwd=cwd, timeout=TIMEOUT, stdout_file=output)
    except ToolError as error:
        last = error.message.strip().splitlines()[-1]
        raise FormatError(f"{tool} cannot read the file system: {last[:300]}") from error
    return done.stderr.decode(errors="replace")


def check_size(nodes: Sequence[Node]) -> None:
    """Refuse a tree that would take too much room.

    Raises:
        FormatError: It would.
    """
    total = sum(node.size for node in nodes if node.regular)
    if len(nodes) > MAX_ENTRIES or total > MAX_CONTENT:
        raise FormatError(
            f"the file system claims {len(nodes)} files with {total} bytes: "
            f"expected at most {MAX_ENTRIES} and {MAX_CONTENT}"
        )
