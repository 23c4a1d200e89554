# SPDX-License-Identifier: MIT
"""The terminal: results on stdout, everything else on stderr, untrusted text made harmless."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console, RenderHook
from rich.markup import escape
from rich.text import Text

from bootseal.documents import visible
from bootseal.files import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import ConsoleRenderable

_FORCE = bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")

# A pipe has no width: give tables room there instead of folding them at 80 columns.
_PIPE_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200

out = Console(
    highlight=False,
    soft_wrap=True,
    force_terminal=True if _FORCE else None,
    width=_PIPE_WIDTH,
)
err = Console(highlight=False, soft_wrap=True, stderr=True, force_terminal=True if _FORCE else None)


class Backstop(RenderHook):
    """Shows what nobody escaped as replacement characters, so that no text moves the cursor."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Replace control and bidirectional characters in texts."""
        for each in renderables:
            if isinstance(each, Text):
                each.plain = _harmless(each.plain)
        return renderables


def _harmless(text: str) -> str:
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


for _console in (out, err):
    _console.push_render_hook(Backstop())


def untrusted(text: str) -> str:
    """Escape control, bidirectional and markup characters of text from elsewhere."""
    return escape(visible(text))


def untrusted_lines(text: str) -> str:
    """Like `untrusted`, for text of several lines."""
    return "\n".join(untrusted(line) for line in text.splitlines())


def emit_json(document: object) -> None:
    """Print one JSON document on stdout."""
    out.print(untrusted_lines(json.dumps(document, indent=2)))


def write(target: str | Path, data: bytes) -> None:
    """Write a result; `-` is standard output.

    A file appears under its name only when all of it is on the disk.

    Raises:
        UsageError: There is no such directory, or it names something other than a regular file.
        OSError: The directory cannot be written to.
    """
    if str(target) == "-":
        typer.echo(data, nl=False)
        return
    write_file(Path(target), data)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table on stdout; long values fold and are never cut off."""
    from rich.table import Table

    grid = Table(title=_harmless(title) or None, title_justify="left", header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*map(_harmless, row))
    out.print(grid, soft_wrap=False)


def status(text: str) -> None:
    """Say one line on stderr, such as `OK: ...`."""
    err.print(text)


class TerminalProgress:
    """Draws `bootseal.progress.Progress`: a spinner on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._depth = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step while it runs and how long it took when it ends."""
        start = time.monotonic()
        indent = "  " * self._depth
        self._depth += 1
        try:
            if err.is_terminal and self._depth == 1:
                with err.status(untrusted(title)):
                    yield
            else:
                yield
        finally:
            self._depth -= 1
        err.print(
            f"{indent}[green]✓[/] {untrusted(title)} [dim]({time.monotonic() - start:.1f} s)[/]"
        )

    def note(self, text: str) -> None:
        """Print a line that stays."""
        err.print("  " * self._depth + f"[dim]· {untrusted(text)}[/]")
