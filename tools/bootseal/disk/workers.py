# SPDX-License-Identifier: MIT
"""Shares work out among processes of this program, one for each core.

Threads are of little use where a digest is made of every 4 KiB: they wait for each other between
any two of them. What a process finds comes back through a pipe while it works, as numbers; one
that ends before it says that it is done is an error, never a good result.
"""

from __future__ import annotations

import os
import signal
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NoReturn

from bootseal.errors import FormatError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Numbers = tuple[int, ...]
    Job = Callable[[int], Iterable[Numbers]]

_END: Final = "end"
_ERROR: Final = "error"


def cores() -> int:
    """Return how many processes can run at once."""
    return len(os.sched_getaffinity(0))


@contextmanager
def started(job: Job, count: int) -> Iterator[list[Iterator[Numbers]]]:
    """Run a job `count` times at once, each in a process of its own, until the context ends.

    Args:
        job: Yields numbers; it is given which of the processes it is, from 0.
        count: How many.

    Yields:
        For each process what it yields. Reading it raises FormatError where the job did, and
        ToolError where the process ended early.
    """
    processes: list[int] = []
    readers = []
    try:
        for number in range(count):
            reader, writer = os.pipe()
            readers.append(os.fdopen(reader, encoding="utf-8"))
            with os.fdopen(writer, "wb"):
                processes.append(_fork(job, number, writer))
        yield [_numbers(reader) for reader in readers]
    finally:
        for each in readers:
            each.close()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _fork(job: Job, number: int, writer: int) -> int:
    with warnings.catch_warnings():
        # Of threads, which may hold locks: this one's child takes none but its own.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if not process:
        _work(job, number, writer)
    return process


def _work(job: Job, number: int, writer: int) -> NoReturn:
    """Run the job and end the process, whatever happens."""
    try:
        with os.fdopen(os.dup(writer), "w", buffering=1, encoding="utf-8") as out:
            try:
                for numbers in job(number):
                    out.write(" ".join(map(str, numbers)) + "\n")
                out.write(f"{_END}\n")
            except FormatError as error:
                out.write(f"{_ERROR} {error.message}\n")
    finally:
        os._exit(0)


def _numbers(lines: Iterable[str]) -> Iterator[Numbers]:
    for line in lines:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == _END:
            return
        if word == _ERROR:
            raise FormatError(rest)
        yield tuple(map(int, line.split()))
    raise ToolError(
        "a process that checks a part of the disk ended before it was done",
        hint="look for a lack of memory in the kernel's log, and run it again",
    )
