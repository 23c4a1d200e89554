# SPDX-License-Identifier: MIT
"""Text from elsewhere does not control the terminal, even where nobody thought of it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bootseal.cli import console

HOSTILE = "a\x1b[2Jb\x9bc\rd\u202ee\x07f"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    for each in (console.out, console.err):
        monkeypatch.setattr(each, "_file", text)
    return text


def test_controls_that_were_not_escaped_are_replaced(said: io.StringIO) -> None:
    console.out.print(HOSTILE)
    console.status(f"[bold]{HOSTILE}[/]")
    console.table(("one",), [(HOSTILE,)], title=HOSTILE)

    assert all(c.isprintable() or c == "\n" for c in said.getvalue())
    assert said.getvalue().count("[2J") == 4


def test_controls_that_were_escaped_are_shown(said: io.StringIO) -> None:
    console.out.print(console.untrusted(HOSTILE))
    console.emit_json({"a": HOSTILE})

    assert said.getvalue().startswith("a\\x1b[2Jb\\x9bc\\rd\\u202ee\\x07f\n")
    assert "\x1b" not in said.getvalue()


def test_what_rich_itself_colours_stays() -> None:
    text = io.StringIO()
    coloured = Console(file=text, force_terminal=True, color_system="standard")
    coloured.push_render_hook(console.Backstop())
    coloured.print("[red]a[/]")

    assert text.getvalue() == "\x1b[31ma\x1b[0m\n"
