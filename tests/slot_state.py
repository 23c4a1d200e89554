# SPDX-License-Identifier: MIT
"""A slot state in a file, and a script of the device over it, with the real fw_setenv."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bootseal.formats.uboot import slot_state
from bootseal.formats.uboot.environment import emit_environment, parse_environment
from bootseal.units import MIB

LAYER = Path(__file__).parents[1] / "meta-secureboot"
FILES = LAYER / "recipes-core/bootseal-device/files"
NEW = ("A B", "3", "3")
PLACES: Final = slot_state.places(MIB)
_CONFIGS = ("fw_env.config", "fw_env-copy.config")
_SIZE: Final = slot_state.SIZE
_FILLER = b"around the copies"


def block(order: str, left_a: str, left_b: str) -> bytes:
    """Return one copy of a state."""
    return emit_environment({"BOOT_ORDER": order, "BOOT_A_LEFT": left_a, "BOOT_B_LEFT": left_b})


def said(copy: bytes) -> tuple[str, str, str]:
    """Return what a copy says, which must be whole: the three variables, and zeros behind them."""
    found = parse_environment(copy)
    assert found.keys() == {"BOOT_ORDER", "BOOT_A_LEFT", "BOOT_B_LEFT"}
    return found["BOOT_ORDER"], found["BOOT_A_LEFT"], found["BOOT_B_LEFT"]


class SlotState(NamedTuple):
    """A slot state in a file, and what changes it.

    Attributes:
        directory: Holds both, and the device's command line.
        script: The script.
        shell: What runs it.
    """

    directory: Path
    script: Path
    shell: Sequence[str] = ("busybox", "sh")

    @property
    def state(self) -> Path:
        """The partition."""
        return self.directory / "bootstate"

    def set_up(self, *, slot: str, places: dict[str, str] | None = None) -> None:
        """Make the device: what it runs, and where the script's other places are."""
        for name in _CONFIGS:
            text = (FILES / name).read_text()
            assert "/dev/disk/by-partlabel/bootstate" in text
            moved = text.replace("/dev/disk/by-partlabel/bootstate", str(self.state))
            (self.directory / name).write_text(moved)
        shutil.copy(FILES / "slot-state", self.directory / "slot-state")
        (self.directory / "cmdline").write_text(f"quiet bootseal.slot={slot} bootseal.blocks=1\n")
        text = self.script.read_text()
        for old, new in {
            "/proc/cmdline": str(self.directory / "cmdline"),
            **(places or {}),
        }.items():
            assert old in text
            text = text.replace(old, new)
        (self.directory / "script").write_text(text)
        # What each write made of the partition is kept, with the copy that it was told to write.
        wrapper = self.directory / "fw_setenv"
        wrapper.write_text(
            f'#!/bin/sh\n{shutil.which("fw_setenv")} "$@" || exit\n'
            f'cd {self.directory} && cp bootstate "$(ls | grep -c ^[0-9])-${{2##*/}}"\n'
        )
        wrapper.chmod(0o755)
        self.put(*NEW)

    def put(self, order: str, left_a: str, left_b: str) -> None:
        """Write both copies, and something else around them."""
        self.put_copies(*[block(order, left_a, left_b)] * len(PLACES))

    def put_copies(self, *copies: bytes) -> None:
        """Write these copies, and something else around them."""
        image = bytearray((_FILLER * (MIB // len(_FILLER) + 1))[:MIB])
        for place, copy in zip(PLACES, copies, strict=True):
            image[place : place + _SIZE] = copy
        self.state.write_bytes(image)

    def copies(self) -> tuple[bytes, ...]:
        """Read the copies: nothing else may have been written."""
        image = self.state.read_bytes()
        found = tuple(image[place : place + _SIZE] for place in PLACES)
        self.put_copies(*found)
        assert self.state.read_bytes() == image
        return found

    def get(self) -> tuple[str, str, str]:
        """Read the state, which both copies must have."""
        first, second = (said(copy) for copy in self.copies())
        assert first == second
        return first

    def written(self) -> list[tuple[int, bytes]]:
        """Return the number of the copy that each write was for, and the partition after it."""
        found = sorted(self.directory.glob("[0-9]-*"))
        return [(_CONFIGS.index(path.name[2:]), path.read_bytes()) for path in found]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the script."""
        done = subprocess.run(
            [*self.shell, self.directory / "script", *arguments],
            env={
                "PATH": f"{self.directory}:/usr/bin:/bin",
                "LIBRARY": str(self.directory),
                "SETTINGS": str(self.directory),
                "LOCK": str(self.directory / "run/slot-state.lock"),
                "MARKED": str(self.directory / "run/slot-marked"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.returncode, done.stdout, done.stderr
