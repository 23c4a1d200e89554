# SPDX-License-Identifier: MIT
"""What lower layers tell upper ones: findings about an input, and progress of long work."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Severity(StrEnum):
    """How much a finding matters; an `ERROR` refuses the input."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or worth knowing about an input.

    Attributes:
        id: Stable identifier such as `fit.image-hash`, for filters and reports.
        severity: How much it matters.
        where: The place, for example `/images/kernel-1/hash-1` or `root-a`.
        message: One sentence that names what was observed and what was expected.
        offset: Bytes from the start of the input, where the place has one.
        expected: What should be there, in short; empty when `message` says it all.
        observed: What is there.
        mend: What to do about it; empty when nothing helps.
    """

    id: str
    severity: Severity
    where: str
    message: str
    offset: int | None = None
    expected: str = ""
    observed: str = ""
    mend: str = ""


class Progress(Protocol):
    """Told by long work what it is doing; drawn by the command line on a terminal."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Enter one named step; leaving the context ends it."""
        ...

    def note(self, text: str) -> None:
        """Say something worth keeping on screen, such as a cache hit."""
        ...


class Silent:
    """The `Progress` that shows nothing."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Ignore the step."""
        del title
        return nullcontext()

    def note(self, text: str) -> None:
        """Ignore the note."""
