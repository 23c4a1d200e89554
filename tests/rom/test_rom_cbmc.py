# SPDX-License-Identifier: MIT
"""Bounded model checking of the boot ROM's own C: no input of the stated size does harm."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.rom.host import HOST, OWN

if TYPE_CHECKING:
    from tests.rom.host import Programs

HARNESSES: Final = Path(__file__).with_name("cbmc")
OLDEST: Final = 6
"""Older releases check nothing unless they are told to."""


def cbmc() -> str:
    """Return the program, or skip: Debian 13 has one that is new enough, Debian 12 does not."""
    found = shutil.which("cbmc")
    if found is None:
        pytest.skip("cbmc is not installed")
    said = subprocess.run([found, "--version"], capture_output=True, check=True).stdout.decode()
    version = re.match(r"\d+", said)
    if version is None or int(version[0]) < OLDEST:
        pytest.skip(f"cbmc is {said.strip()}: {OLDEST} or newer is needed")
    return found


def run(rom: Programs, name: str, unwind: int) -> subprocess.CompletedProcess[str]:
    """Check the function `harness` of a file, with every loop unwound so many times."""
    tfa = rom.directory / "tfa"
    includes = [f"-I{path}" for path in (OWN, HOST, tfa / "include", tfa)]
    limits = ["--function", "harness", "--unwind", str(unwind), "--unwinding-assertions"]
    return subprocess.run(
        [cbmc(), *includes, HARNESSES / name, *limits, "--pointer-overflow-check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_choice_of_the_bank_does_no_harm(rom: Programs) -> None:
    done = run(rom, "bank.c", 6)
    assert done.returncode == 0, done.stdout[-3000:]


def test_loops_that_are_not_unwound_to_their_end_are_a_failure(rom: Programs) -> None:
    """The twin: the check says so when it has not seen everything."""
    assert run(rom, "bank.c", 2).returncode == 10
