# SPDX-License-Identifier: MIT
"""How long-running work reports what it is doing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """Told by long-running work what it is doing; drawn by the command line on a terminal."""

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
