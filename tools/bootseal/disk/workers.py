# SPDX-License-Identifier: MIT
"""Shares work out among processes of this program, one for each core.

Threads are of little use for digests of 4 KiB each: they wait for each other between
any two of them. A process that ends before all its work is done is an error, never a good result.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar, cast

from bootseal.errors import ToolError

_Result = TypeVar("_Result")
_AT_ONCE: Final = 16
"""Tasks that a process takes at a time."""
_jobs: Final[list[Callable[[int], object]]] = []
"""In a process: what it does."""


def cores() -> int:
    """Return how many processes can run at once."""
    return len(os.sched_getaffinity(0))


@contextmanager
def started(job: Callable[[int], _Result], tasks: int, count: int) -> Iterator[Iterator[_Result]]:
    """Do tasks in separate processes while the context's body runs, and no longer.

    Args:
        job: Does the task of a number; what it refers to is as it was at the start.
        tasks: How many there are.
        count: How many processes.

    Yields:
        The results in the order of the tasks. Reading one raises what the job raised, and ToolError
        where a process ended before it was done.

    Raises:
        ToolError: A process ended while tasks were still given out.
    """
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - slow to load
    from multiprocessing import get_context  # noqa: PLC0415 - likewise

    pool = ProcessPoolExecutor(count, get_context("fork"), _begin, (job,))
    try:
        # A process may end while tasks are still given out.
        with warnings.catch_warnings(), _complete():
            # Of threads, which may hold locks: the processes take none but their own.
            warnings.simplefilter("ignore", DeprecationWarning)
            results = pool.map(_do, range(tasks), chunksize=_AT_ONCE)
        yield cast("Iterator[_Result]", _results(results))
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(job: Callable[[int], object]) -> None:
    _jobs.append(job)
    # The process that started this one says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _do(number: int) -> object:
    return _jobs[-1](number)


def _results(results: Iterator[object]) -> Iterator[object]:
    with _complete():
        yield from results


@contextmanager
def _complete() -> Iterator[None]:
    """Say that a process ended before it was done."""
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415 - as above

    try:
        yield
    except (BrokenProcessPool, MemoryError) as error:
        raise ToolError(
            "a process that checks a part of the disk ended before it was done",
            hint="look for an out-of-memory kill in the kernel's log, and run it again",
        ) from error
