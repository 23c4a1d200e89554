# SPDX-License-Identifier: MIT
"""A slot state in a file, and a script of the device over it, with the real fw_setenv."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bootseal.formats.uboot.environment import ENVIRONMENT_SIZE, emit_environment

NEW = ("A B", "3", "3")
REST = b"behind the block" * 256


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
        (self.directory / "fw_env.config").write_text(f"{self.state} 0x0 0x4000\n")
        (self.directory / "cmdline").write_text(f"quiet bootseal.slot={slot} bootseal.blocks=1\n")
        text = self.script.read_text()
        moved = {"/proc/cmdline": str(self.directory / "cmdline"), **(places or {})}
        for old, new in moved.items():
            assert old in text
            text = text.replace(old, new)
        (self.directory / "script").write_text(text)
        for tool in ("fw_printenv", "fw_setenv"):
            wrapper = self.directory / tool
            config = self.directory / "fw_env.config"
            wrapper.write_text(f'#!/bin/sh\nexec {shutil.which(tool)} -c {config} "$@"\n')
            wrapper.chmod(0o755)
        self.put(*NEW)

    def put(self, order: str, left_a: str, left_b: str) -> None:
        """Write the state."""
        values = {"BOOT_ORDER": order, "BOOT_A_LEFT": left_a, "BOOT_B_LEFT": left_b}
        self.state.write_bytes(emit_environment(values) + REST)

    def get(self) -> tuple[str, str, str]:
        """Read the state: nothing else may have been written."""
        data = self.state.read_bytes()
        assert data[ENVIRONMENT_SIZE:] == REST
        block = data[:ENVIRONMENT_SIZE]
        assert int.from_bytes(block[:4], "little") == zlib.crc32(block[4:])
        # libubootenv leaves what its memory held behind the last variable, where nothing reads.
        text = block[4:].partition(b"\0\0")[0].decode()
        found = dict(line.split("=", 1) for line in text.split("\0"))
        assert found.keys() == {"BOOT_ORDER", "BOOT_A_LEFT", "BOOT_B_LEFT"}
        return found["BOOT_ORDER"], found["BOOT_A_LEFT"], found["BOOT_B_LEFT"]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the script."""
        done = subprocess.run(
            [*self.shell, self.directory / "script", *arguments],
            env={"PATH": f"{self.directory}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.returncode, done.stdout, done.stderr
