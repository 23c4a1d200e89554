# SPDX-License-Identifier: MIT
"""What the program loads before it does anything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bootseal.errors import ExitCode


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["keys"],
        ["fit"],
        ["firmware"],
        ["measure"],
        ["disk"],
        ["reference"],
        ["boot"],
        ["doctor"],
    ],
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


@pytest.mark.parametrize(
    "arguments",
    [["fit", "verify", "--help"], ["doctor"], ["--version"]],
    ids=" ".join,
)
def test_output_that_nobody_reads_ends_the_program_as_it_ends_others(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from bootseal.cli.app import main; main()", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)

    assert done.returncode == ExitCode.CLOSED_PIPE
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_closed_standard_output_is_not_a_closed_pipe() -> None:
    program = "import os; os.close(1); from bootseal.cli.app import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", program, "fit", "show", "none.itb"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == ExitCode.USAGE
    assert "Traceback" not in done.stderr
