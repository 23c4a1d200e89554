# SPDX-License-Identifier: MIT
"""What commands read: files, standard input and the clock; errors name the file."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, ToolError, UsageError, VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.formats.kinds.kind import Wanted
    from bootseal.measure.approved import Approved

_PIPED: Final = 256 << 20
_MOST_DIGITS: Final = 11
"""Of a time in seconds: the year 5138."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of what is wrong with its bytes."""
    try:
        yield
    except (FormatError, VerificationRefused) as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


@contextmanager
def opened(path: Path, wanted: Wanted, *, writable: bool = False) -> Iterator[memoryview]:
    """Give a view of a file or of standard input; errors in it name the file.

    Args:
        path: The file; `-` is standard input.
        wanted: What it must be, unless nothing says what it is.
        writable: Give a private copy that may be changed.

    Raises:
        UsageError: There is no such file, or it is of another kind than a file.
        FormatError: It is recognised as something else.
    """
    from bootseal import files
    from bootseal.formats.kinds.recognise import check

    with ExitStack() as stack:
        if str(path) == "-":
            data = files.read_rest(sys.stdin.buffer, "standard input", limit=_PIPED)
            view = memoryview(bytearray(data) if writable else data)
        else:
            view = stack.enter_context((files.private if writable else files.mapped)(path))
        check(view, wanted, str(path))
        with naming(path):
            yield view


def read(path: Path, wanted: Wanted, *, limit: int | None = None) -> bytes:
    """Return what a small file holds.

    Args:
        path: The file.
        wanted: What it must be, unless nothing says what it is.
        limit: Bytes it may have; `files.SMALL` if left out.

    Raises:
        UsageError: It is of another kind than a file.
        FormatError: It is recognised as something else, or is too large.
        OSError: It cannot be read.
    """
    from bootseal import files
    from bootseal.formats.kinds.recognise import checked

    return checked(files.read_bounded(path, limit=limit or files.SMALL), wanted, str(path))


def read_text(path: Path) -> str:
    """Return what a text file holds.

    Raises:
        UsageError: As `read`.
        FormatError: Likewise, or it is not UTF-8.
        OSError: Likewise.
    """
    from bootseal.formats.kinds.kind import TEXT

    try:
        return read(path, TEXT).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not text: {error}") from error


def approved_list(path: Path) -> Approved:
    """Read an approved list.

    Raises:
        UsageError: There is no such file.
        FormatError: It is malformed.
    """
    from bootseal import documents
    from bootseal.formats.kinds.kind import DOCUMENT
    from bootseal.measure import approved as lists

    try:
        data = read(path, DOCUMENT, limit=documents.MAX_SIZE)
        with naming(path):
            return lists.parse(data)
    except FileNotFoundError:
        raise UsageError(
            f"there is no approved list at {path}",
            hint=f"bootseal measure approve DIR --name RELEASE --list {path}",
        ) from None


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Say what to install when what is imported here is not there.

    Args:
        name: The extra of bootseal's Python package that has it.
        what: What needs it, for the message.

    Raises:
        ToolError: A package of the extra is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ToolError(
            f"{what} needs the Python package {error.name}, which is not installed",
            hint=f"pip install 'bootseal[{name}]'",
        ) from error


def now() -> int:
    """Return SOURCE_DATE_EPOCH, or else the time, in seconds since 1970.

    Raises:
        UsageError: SOURCE_DATE_EPOCH is not a number, or out of the range of dates.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return int(time.time())
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}: expected seconds since 1970")
    return int(text)
