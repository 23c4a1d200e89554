# SPDX-License-Identifier: MIT
"""What U-Boot's own code says of a FIT: fit_check_sign, and the checks of a device before it."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests import uboot_tools

from bootseal.errors import FormatError
from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.verdict import inspect
from bootseal.progress import Silent
from bootseal.reference.apt import Apt

if TYPE_CHECKING:
    from collections.abc import Sequence

EPOCH: Final = 1_700_000_000
SOURCE: Final = Path(__file__).parent / "fuzz/check_many.c"
OK: Final = "ok"
REFUSED: Final = "refused"


class Answer(NamedTuple):
    """What fit_check_sign says, and what a device would: `ok`, `refused`, or `crash` and a signal.

    A crash is not an acceptance: of both, only `ok` would boot.
    """

    tool: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Uboot:
    """U-Boot's host tools, and a program that asks their code about many FITs."""

    tools: Path
    program: Path
    version: str

    def answers(self, fits: Sequence[bytes], control: bytes) -> list[Answer]:
        """Ask about FITs and one control device tree."""
        path = self.program.with_name("control.dtb")
        path.write_bytes(control)
        frames = b"".join(struct.pack(">I", len(fit)) + fit for fit in fits)
        done = subprocess.run(
            [self.program, path], input=frames, capture_output=True, timeout=3600, check=True
        )
        answers = [Answer(*line.split()) for line in done.stdout.decode("ascii").splitlines()]
        assert len(answers) == len(fits)
        return answers


def build(directory: Path) -> Uboot:
    """Build the tools, or take the cached ones, and compile the program into a directory."""
    source = Apt.prepare()
    source.update(Silent())
    tools = uboot_tools.build(source, epoch=EPOCH, progress=Silent())
    program = directory / "check_many"
    library = tools.directory / uboot_tools.LIBRARY
    linked: list[str | Path] = [
        "-Wl,--whole-archive",
        library,
        "-Wl,--no-whole-archive",
        "-lssl",
        "-lcrypto",
    ]
    flags = ["-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", program, SOURCE, *linked], check=True)
    return Uboot(tools=tools.directory, program=program, version=tools.version)


def ours(fit: bytes, control: bytes) -> str:
    """Return what `bootseal fit verify --compat` says, in the words of an `Answer`."""
    try:
        return REFUSED if inspect(fit, control, strictness=COMPAT).errors else OK
    except FormatError:
        return REFUSED
