# SPDX-License-Identifier: MIT
"""The terminal: results on stdout, everything else on stderr, untrusted text made harmless.

What is printed is a template of ours, which may have rich's markup, and values that fill it. Values
are text of others: their control, bidirectional and markup characters are escaped. Rich is loaded
for a terminal and for tables alone, as it takes longer than most commands need.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Final

import typer

from bootseal.text import visible

if TYPE_CHECKING:
    from rich.console import Console

_FORCE: Final = bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")
# What makes rich take something else than a terminal for one, or the other way round.
_DECIDED_BY_RICH: Final = {"FORCE_COLOR", "TTY_COMPATIBLE"}
_MARKUP: Final = re.compile(r"\[/?[a-z ]*\]")


class Styled:
    """A template with rich's markup, and the values that fill it; a part of other such texts."""

    def __init__(self, template: str, *values: object) -> None:
        self._template = template
        self._values = values

    def render(self, *, plain: bool) -> str:
        """Return the text, `plain` or with rich's markup; in either the values are harmless."""
        template = _MARKUP.sub("", self._template) if plain else self._template
        return (
            _Escaping(plain=plain).vformat(template, self._values, {}) if self._values else template
        )


class _Escaping(Formatter):
    def __init__(self, *, plain: bool) -> None:
        self._plain = plain

    def format_field(self, value: object, format_spec: str) -> str:
        if isinstance(value, Styled):
            return value.render(plain=self._plain)
        text = visible(format(value, format_spec))
        if self._plain:
            return text
        from rich.markup import escape

        return escape(text)


def lines(text: str) -> Styled:
    """Return a value of several lines, each of them untrusted."""
    parts = text.splitlines()
    return Styled("\n".join(["{}"] * len(parts)), *parts)


class _Stream:
    """Standard output or standard error."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def rich(self) -> Console:
        """What draws on it."""
        from rich.console import Console

        # A pipe has no width: give tables room there instead of folding them at 80 columns.
        piped = self._name == "stdout" and not sys.stdout.isatty() and "COLUMNS" not in os.environ
        return Console(
            stderr=self._name == "stderr",
            highlight=False,
            soft_wrap=True,
            emoji=False,
            force_terminal=_FORCE or None,
            width=200 if piped else None,
        )

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal, or is to be taken for one."""
        if os.environ.keys() & _DECIDED_BY_RICH:
            return self.rich.is_terminal
        return bool(getattr(sys, self._name).isatty())

    def say(self, template: str, *values: object) -> None:
        """Print a line: a template, and the untrusted values that fill it."""
        text = Styled(template, *values)
        if self.is_terminal:
            self.rich.print(text.render(plain=False))
        else:
            stream = getattr(sys, self._name)
            stream.write(f"{text.render(plain=True)}\n")
            stream.flush()


out = _Stream("stdout")
err = _Stream("stderr")
say = out.say
"""Print a result: a template, and the untrusted values that fill it."""
status = err.say
"""Say one line on stderr, such as `OK: ...`: likewise."""


def emit_json(document: object) -> None:
    """Print one JSON document on stdout."""
    import json

    typer.echo("\n".join(map(visible, json.dumps(document, indent=2).splitlines())))


def write(target: str | Path, data: bytes) -> None:
    """Write a result; `-` is standard output.

    A file appears under its name only when all of it is on the disk.

    Raises:
        UsageError: There is no such directory, or it names something other than a regular file.
        OSError: The directory cannot be written to.
    """
    from bootseal.files import write_file

    if str(target) == "-":
        typer.echo(data, nl=False)
        return
    write_file(Path(target), data)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table on stdout; its cells are untrusted, and fold when they are long."""
    from rich.table import Table

    grid = Table(title=_markup(title) or None, title_justify="left", header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*map(_markup, row))
    out.rich.print(grid, soft_wrap=False)


def _markup(cell: object) -> str:
    return Styled("{}", cell).render(plain=False)


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
                with err.rich.status(_markup(title)):
                    yield
            else:
                yield
        finally:
            self._depth -= 1
        status("{}[green]✓[/] {} [dim]({:.1f} s)[/]", indent, title, time.monotonic() - start)

    def note(self, text: str) -> None:
        """Print a line that stays."""
        status("{}[dim]· {}[/]", "  " * self._depth, text)
