# SPDX-License-Identifier: MIT
"""The tables of docs/disk.md say what the code says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import bootseal
from bootseal.boot.catalogue.scenarios import SCENARIOS

TEXT = (Path(__file__).parents[3] / "docs/disk.md").read_text()
SOURCES = [
    path for room in ("check", "disk") for path in (Path(bootseal.__path__[0]) / room).rglob("*.py")
]
MAKERS = {"finding", "_error", "_found", "_warning", "_info"}


def literals() -> tuple[set[str], set[str]]:
    """Return the ids in the code, and the beginnings of those that are put together."""
    whole: set[str] = set()
    begun: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            match node.args[0]:
                case ast.Constant(value=str(text)) if name in MAKERS:
                    whole.add(f"disk.{text}")
                case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) if name in MAKERS:
                    begun.add(f"disk.{text}")
    return whole, begun


def test_every_finding_is_in_a_table_and_every_row_in_the_code() -> None:
    whole, begun = literals()
    rows = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `disk."))
    listed = set(re.findall(r"`(disk\.[a-z0-9-]+)`", rows))
    sources = "".join(path.read_text() for path in SOURCES)

    assert whole - listed == set()
    assert {text for text in begun if not any(name.startswith(text) for name in listed)} == set()
    unknown = {
        name
        for name in listed - whole
        if not any(name.startswith(text) for text in begun)
        and f'"{name.removeprefix("disk.")}"' not in sources
    }
    assert unknown == set()


def test_scenarios_in_the_table_are_those_of_the_matrix() -> None:
    table = TEXT.partition("## The scenarios")[2]
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)

    assert len(listed) == len(set(listed))
    assert set(listed) <= {scenario.id for scenario in SCENARIOS}
