# SPDX-License-Identifier: MIT
"""What `--help` prints fits terminals of any width."""

from __future__ import annotations

import itertools

import pytest
from typer.testing import CliRunner

from bootseal.cli.app import app


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    "command", ["fit verify", "disk check", "device describe", "doctor", "boot run"]
)
def test_help_is_broken_at_the_edge_of_the_terminal_only(command: str, columns: int) -> None:
    result = CliRunner().invoke(
        app, [*command.split(), "--help"], terminal_width=columns, env={"COLUMNS": str(columns)}
    )

    assert result.exit_code == 0
    text = result.output.partition("\u256d")[0]
    lines = [line.strip() for line in text.splitlines()]
    broken = [
        (line, following)
        for line, following in itertools.pairwise(lines)
        if line and following and len(f"{line} {following.split()[0]}") <= columns - 4
    ]
    assert broken == []
