# SPDX-License-Identifier: MIT
"""Draws docs/floors.svg, the floors of tools/bootseal, from what the tools enforce.

Rooms and their order are those of import-linter's contracts in pyproject.toml, what a room does is
the first line of its docstring. tests/unit/test_docs.py compares the file with this drawing:

    python -m tests.floors
"""

from __future__ import annotations

import ast
import html
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DRAWING = ROOT / "docs/floors.svg"

WIDTH = 960
MARGIN = 24
GAP = 8
LINE = 16
NAME = 110
# Of the sans serif face at 12 px, on average.
LETTER = 6.1

STYLE = """
  svg { font: 12px system-ui, "DejaVu Sans", sans-serif; }
  .paper { fill: #ffffff; } .floor { fill: #eef2f6; }
  .room { fill: #ffffff; stroke: #8c98a4; }
  .name { font: bold 13px ui-monospace, "DejaVu Sans Mono", monospace; fill: #12324f; }
  .says { fill: #2b333b; } .inner { fill: #5b6670; }
  .only { fill: #8a3b00; } .arrow { stroke: #8c98a4; stroke-width: 1.5; fill: none; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #14181c; } .floor { fill: #20262c; }
    .room { fill: #14181c; stroke: #66727e; }
    .name { fill: #9ecbff; } .says { fill: #d5dbe1; } .inner { fill: #98a4b0; }
    .only { fill: #f0a060; } .arrow { stroke: #66727e; }
  }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A module or package directly below `bootseal`, as the contracts see it."""

    name: str
    says: str
    inner: str
    only: str


def contracts() -> list[dict[str, object]]:
    """Return import-linter's contracts as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = project["tool"]["importlinter"]["contracts"]
    assert isinstance(found, list)
    return found


def texts(contract: dict[str, object], key: str) -> list[str]:
    """Return a list of texts of a contract, empty when it is not there."""
    found = contract.get(key, [])
    assert isinstance(found, list)
    return [str(item) for item in found]


def floors() -> list[list[Room]]:
    """Return the rooms by floor, the top floor first."""
    layered = {texts(c, "containers")[0]: texts(c, "layers") for c in contracts() if "layers" in c}
    return [[room(name, layered) for name in row.split(" | ")] for row in layered["bootseal"]]


def room(name: str, layered: dict[str, list[str]]) -> Room:
    """Describe a room by its docstring and by the contracts that name it."""
    path = ROOT / "tools/bootseal" / name
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(source.read_text()))
    assert docstring, f"{source} has no docstring"
    allowed = [
        item.partition(" -> ")[2]
        for contract in contracts()
        for item in texts(contract, "ignore_imports")
        if item.startswith(f"bootseal.{name}.")
    ]
    return Room(
        name=name,
        says=docstring.splitlines()[0].replace("`", ""),
        inner=" \N{RIGHTWARDS ARROW} ".join(layered.get(f"bootseal.{name}", [])),
        only=", ".join(sorted(set(allowed))),
    )


def lines(item: Room, width: float) -> list[tuple[str, str]]:
    """Return the lines of a room with their CSS classes, wrapped to its width in pixels."""
    letters = int((width - 20) / LETTER)
    found = [("says", line) for line in textwrap.wrap(item.says, letters)]
    if item.inner:
        found += [("inner", line) for line in textwrap.wrap(f"inside: {item.inner}", letters)]
    if item.only:
        found += [("only", line) for line in textwrap.wrap(f"may import {item.only}", letters)]
    return found


def boxes(floor: list[Room], top: int) -> tuple[int, list[str]]:
    """Return the height of a floor, and its band with the rooms side by side on it.

    A room that has the floor to itself is a low box, with its text to the right of its name.
    """
    left, inside = MARGIN + 32, WIDTH - 2 * MARGIN - 32
    width = (inside - GAP * (len(floor) + 1)) / len(floor)
    aside = NAME if len(floor) == 1 else 0
    text = [lines(item, width - aside) for item in floor]
    rows = max(map(len, text)) + (0 if aside else 1)
    height = 16 + LINE * rows
    band = f'x="{left}" y="{top}" width="{inside}" height="{height + 2 * GAP}"'
    body = [f'<rect class="floor" {band} rx="4"/>']
    for number, item in enumerate(floor):
        start = left + GAP + number * (width + GAP)
        base = top + GAP + LINE + 4
        body.append(
            f'<rect class="room" x="{start:g}" y="{top + GAP}" width="{width:g}"'
            f' height="{height}" rx="3"/>'
        )
        body.append(f'<text class="name" x="{start + 10:g}" y="{base}">{item.name}</text>')
        body += [
            f'<text class="{kind}" x="{start + 10 + aside:g}" y="{base + LINE * row}">'
            f"{html.escape(line)}</text>"
            for row, (kind, line) in enumerate(text[number], start=0 if aside else 1)
        ]
    return height + 2 * GAP, body


def draw() -> str:
    """Return the drawing as the text of an SVG file."""
    body: list[str] = []
    top = MARGIN
    for floor in floors():
        height, drawn = boxes(floor, top)
        body += drawn
        top += height + GAP
    bottom = top - GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + MARGIN}"'
        f' width="{WIDTH}" height="{bottom + MARGIN}" role="img">\n'
        "<title>The floors of tools/bootseal: a room imports only from floors below</title>\n"
        f"<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{bottom + MARGIN}"/>\n'
        f'<path class="arrow" d="M{MARGIN + 8} {MARGIN} V{bottom} l-5 -9 M{MARGIN + 8} {bottom}'
        ' l5 -9"/>\n'
        f'<text class="says" text-anchor="middle" transform="translate({MARGIN - 2}'
        f' {(bottom + MARGIN) / 2:g}) rotate(-90)">imports point down only</text>\n'
    )
    return head + "\n".join(body) + "\n</svg>\n"


if __name__ == "__main__":
    DRAWING.write_text(draw())
