# SPDX-License-Identifier: MIT
"""Shares work out among processes of this program, one for each core.

Threads are of little use where a digest is made of every 4 KiB: they wait for each other between
any two of them. Each process takes the next task when it is done with one, and what it finds comes
back through a pipe while it works, as numbers. One that ends before it says that it is done, or a
task that was not done, is an error, never a good result.
"""

from __future__ import annotations

import fcntl
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from heapq import merge
from typing import TYPE_CHECKING, Final, NoReturn

from bootseal.errors import FormatError, ToolError

if TYPE_CHECKING:
    Numbers = tuple[int, ...]
    Job = Callable[[Iterable[int]], Iterable[Numbers]]

_END: Final = "end"
_ERROR: Final = "error"
_SIZE: Final = 8
"""Bytes of a task's number."""


def cores() -> int:
    """Return how many processes can run at once."""
    return len(os.sched_getaffinity(0))


@contextmanager
def started(job: Job, tasks: int, count: int) -> Iterator[Iterator[Numbers]]:
    """Do tasks in processes of their own while the context's body runs, and no longer.

    Args:
        job: Does the tasks it is given the numbers of, in their order; yields what it finds, in
            an order that is that of the tuples.
        tasks: How many there are.
        count: How many processes.

    Yields:
        What all of them find, in that order. Reading it raises FormatError where the job did, and
        ToolError where not every task was done.
    """
    processes: list[int] = []
    readers = []
    # All processes share one position in this file, so each task is read by one of them.
    queue = os.memfd_create("tasks")
    try:
        with os.fdopen(os.dup(queue), "wb") as file:
            file.write(b"".join(number.to_bytes(_SIZE) for number in range(tasks)))
        os.lseek(queue, 0, os.SEEK_SET)
        for _ in range(count):
            reader, writer = os.pipe()
            readers.append(os.fdopen(reader, encoding="utf-8"))
            with os.fdopen(writer, "wb"):
                processes.append(_fork(job, queue, writer))
        yield _merged(readers, tasks)
    finally:
        os.close(queue)
        for each in readers:
            each.close()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _fork(job: Job, queue: int, writer: int) -> int:
    with warnings.catch_warnings():
        # Of threads, which may hold locks: this one's child takes none but its own.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if not process:
        _work(job, queue, writer)
    return process


def _work(job: Job, queue: int, writer: int) -> NoReturn:
    """Run the job and end the process, whatever happens."""
    taken: list[int] = []
    try:
        with os.fdopen(os.dup(writer), "w", buffering=1, encoding="utf-8") as out:
            try:
                for numbers in job(_tasks(queue, taken)):
                    out.write(" ".join(map(str, numbers)) + "\n")
                out.write(f"{_END} {len(taken)}\n")
            except FormatError as error:
                out.write(f"{_ERROR} {error.message}\n")
    finally:
        os._exit(0)


def _tasks(queue: int, taken: list[int]) -> Iterator[int]:
    """Yield the numbers of tasks while there are any, and keep them."""
    while True:
        fcntl.lockf(queue, fcntl.LOCK_EX)
        number = os.read(queue, _SIZE)
        fcntl.lockf(queue, fcntl.LOCK_UN)
        if not number:
            return
        taken.append(int.from_bytes(number))
        yield taken[-1]


def _merged(readers: Iterable[Iterable[str]], tasks: int) -> Iterator[Numbers]:
    done: list[int] = []
    yield from merge(*(_numbers(reader, done) for reader in readers))
    if sum(done) != tasks:
        raise ToolError(f"{sum(done)} of {tasks} parts of the disk were checked")


def _numbers(lines: Iterable[str], done: list[int]) -> Iterator[Numbers]:
    for line in lines:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == _END:
            done.append(int(rest))
            return
        if word == _ERROR:
            raise FormatError(rest)
        yield tuple(map(int, line.split()))
    raise ToolError(
        "a process that checks a part of the disk ended before it was done",
        hint="look for a lack of memory in the kernel's log, and run it again",
    )
