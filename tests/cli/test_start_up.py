# SPDX-License-Identifier: MIT
"""What the program loads before it does anything."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "arguments",
    [[], ["keys"], ["fit"], ["measure"], ["disk"], ["reference"], ["boot"], ["doctor"]],
    ids=lambda arguments: " ".join(arguments) or "bootseal",
)
def test_help_of_every_noun_loads_no_cryptography(arguments: list[str]) -> None:
    program = (
        "import sys; from bootseal.cli.app import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'cryptography', 'jinja2', 'elftools'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
