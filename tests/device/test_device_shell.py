# SPDX-License-Identifier: MIT
"""`bootseal boot run DIR --shell`, used as a person uses it: on a terminal, by typing.

And `disk check` accepts what the device makes of its own disk: with an identity, rotated, wiped.
The disk of a device whose recovery key was handed out is checked in test_resigning.py.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.device.conftest import check_booted, planted_key, said_of_data

from bootseal.boot.attacks.data_volume import PARTITION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.device, pytest.mark.timeout(900)]

COMMAND = [sys.executable, "-c", "from bootseal.cli.app import main; main()", "boot", "run"]
# A line without a blank: U-Boot's "block # " and "## Loading" have one, or another number sign.
PROMPT = re.compile(rb"^[^# \n]*# \Z", re.MULTILINE)
RESTARTED = re.compile(rb"U-Boot 20.*^[^# \n]*# \Z", re.MULTILINE | re.DOTALL)
# What a person can look for on the running device; `disk check` does not read encrypted data.
LABEL = "PRIVATE KEY"
SEARCH = f"$(grep -rl '{LABEL}' /data /run/bootseal | wc -l) files"
PLANT = f"echo '-----BEGIN {LABEL}-----' >/data/planted"
BOOT_TIMEOUT = 300.0
ANSWER_TIMEOUT = 60.0


class Terminal:
    """A pseudo terminal with a program on it: what was printed, and what one types."""

    def __init__(self, args: list[str]) -> None:
        ours, theirs = pty.openpty()
        self._file = ours
        self._said = b""
        self.process = subprocess.Popen(
            args, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def type(self, line: str) -> None:
        """Type a line; what was printed before it is not looked at again."""
        self._said = b""
        os.write(self._file, line.encode() + b"\r")

    def wait_for(self, pattern: re.Pattern[bytes], timeout: float) -> bytes:
        """Return what was printed since the last line typed, once it matches."""
        deadline = time.monotonic() + timeout
        while not pattern.search(self._said):
            left = deadline - time.monotonic()
            readable = select.select([self._file], [], [], max(left, 0.0))[0]
            assert readable, f"no {pattern.pattern!r} in {timeout} s: {self._said[-2000:]!r}"
            self._said += self._read()
        return self._said

    def ended(self, timeout: float) -> int:
        """Return the program's exit code; read on, because a full terminal would stop it."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running: {self._said[-2000:]!r}"
            if select.select([self._file], [], [], 0.5)[0]:
                self._said += self._read()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            # Not SIGKILL, which would leave the TPM emulator running.
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)
        os.close(self._file)

    def _read(self) -> bytes:
        try:
            # Two terminals make `\r\r\n` of a line end: the device's own, and this one.
            return os.read(self._file, 65536).replace(b"\r", b"")
        except OSError:  # the other side is closed
            time.sleep(0.1)
            return b""


@pytest.fixture
def terminal(own: Path) -> Iterator[Terminal]:
    """Start the command on a device that was never booted."""
    started = Terminal([*COMMAND, str(own), "--shell"])
    yield started
    started.close()


def test_shell_answers_restarts_and_switches_the_device_off(own: Path, terminal: Terminal) -> None:
    disk = own / "state/disk.qcow2"
    terminal.wait_for(PROMPT, BOOT_TIMEOUT)

    # The answer is not in the echo of the question.
    terminal.type("sync; echo $((6 * 7)) on /data: $(findmnt -no FSTYPE /data || echo nothing)")
    terminal.wait_for(re.compile(rb"\n42 on /data: ext4\n.*# \Z"), ANSWER_TIMEOUT)
    terminal.type(f"bootseal-identity create && bootseal-identity token; echo keys in {SEARCH}")
    terminal.wait_for(
        re.compile(rb"token made.*\nkeys in 0 files\n.*# \Z", re.DOTALL), ANSWER_TIMEOUT
    )
    terminal.type(f"{PLANT}; echo keys in {SEARCH}; rm /data/planted; sync")
    terminal.wait_for(re.compile(rb"\nkeys in 1 files\n.*# \Z"), ANSWER_TIMEOUT)
    booted = check_booted(own, disk)
    assert "disk.verity-data" in planted_key(own, disk, "root-a")
    # Ciphertext: what is in the data partition is not looked at.
    assert planted_key(own, disk, PARTITION) == set()

    terminal.type("bootseal-data rotate && reboot")
    terminal.wait_for(RESTARTED, BOOT_TIMEOUT)
    terminal.type("sync; echo boot $(cat /run/bootseal/boots)")
    terminal.wait_for(re.compile(rb"\nboot 2\n.*# \Z"), ANSWER_TIMEOUT)
    rotated = check_booted(own, disk)

    terminal.type("bootseal-data wipe && systemctl poweroff")
    assert terminal.ended(BOOT_TIMEOUT) == 0
    wiped = check_booted(own, disk)

    assert [verdict.errors for verdict in (booted, rotated, wiped)] == [(), (), ()]
    assert "LUKS2 data, opened only by the TPM" in said_of_data(booted)
    assert "LUKS2 data, opened only by the TPM" in said_of_data(rotated)
    assert "was wiped" in said_of_data(wiped)
