# SPDX-License-Identifier: MIT
"""What commands read: files, standard input and the clock; errors name the file."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bootseal.errors import FormatError, UsageError, VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.measure.approved import Approved


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of what is wrong with its bytes."""
    try:
        yield
    except (FormatError, VerificationRefused) as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


@contextmanager
def opened(path: Path, *, writable: bool = False) -> Iterator[memoryview]:
    """Give a view of a file or of standard input; errors in it name the file.

    Args:
        path: The file; `-` is standard input.
        writable: Give a private copy that may be changed.
    """
    from bootseal import files

    with naming(path):
        if str(path) == "-":
            data = sys.stdin.buffer.read()
            yield memoryview(bytearray(data) if writable else data)
        else:
            with (files.private if writable else files.mapped)(path) as view:
                yield view


def approved_list(path: Path) -> Approved:
    """Read an approved list.

    Raises:
        UsageError: There is no such file.
        FormatError: It is malformed.
    """
    from bootseal.measure import approved as lists

    try:
        with naming(path):
            return lists.parse(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"there is no approved list at {path}",
            hint=f"bootseal measure approve DIR --name RELEASE --list {path}",
        ) from None


def now() -> int:
    """Return SOURCE_DATE_EPOCH, or else the time, in seconds since 1970.

    Raises:
        UsageError: SOURCE_DATE_EPOCH is not a number.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return int(time.time())
    if not text.isdecimal():
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}: expected seconds since 1970")
    return int(text)
