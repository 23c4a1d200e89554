# SPDX-License-Identifier: MIT
"""What becomes of a start that was not found good, with the real slot state and FIT."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.layer.test_rauc_pre_install import BOARD, FILES, INDEX, TOOLS, declaring
from tests.slot_state import SlotState
from tests.unit.check.conftest import make_base

pytestmark = [
    pytest.mark.tool("busybox"),
    pytest.mark.tool("fw_printenv"),
    pytest.mark.tool("fw_setenv"),
]
RESTARTS = "bootseal: slot b was not found good: the device restarts\n"
STAYS = "bootseal: slot b was not found good: the device stays up: "


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    base = make_base(tmp_path_factory.mktemp("disk"))
    return declaring(base.fit, compatible=BOARD, index=INDEX.to_bytes(4))


@dataclass
class Device:
    """A device that was started from slot b: systemd and the TPM are doubles."""

    directory: Path
    other: bytes
    state: tuple[str, str, str] = ("B A", "3", "2")
    lowest: str = f"echo {INDEX}"
    good: bool = False

    def end(self, shell: tuple[str, ...] = ("dash",), awk: tuple[str, ...] = ("mawk",)) -> str:
        """Let the time be over; return what the script says, and what systemd is told."""
        tools, library = self.directory / "bin", self.directory / "library"
        for each in (tools, library, self.directory / "slots"):
            each.mkdir()
        slots = self.directory / "slots"
        own = f"LIBRARY={slots} SETTINGS={slots} LOCK={slots}/lock"
        backend = SlotState(slots, FILES / "rauc-backend", shell)
        backend.set_up(slot="b")
        backend.put(*self.state)
        (self.directory / "boot-a").write_bytes(self.other)
        shutil.copy(FILES / "read-fit", library / "read-fit")
        called = self.directory / "called"
        called.touch()
        good = 0 if self.good else 3
        for place, body in (
            (library / "rollback", self.lowest),
            (library / "rauc-backend", f'{own} exec {" ".join(shell)} {slots}/script "$@"'),
            (tools / "awk", f'exec {shutil.which(awk[0])} {" ".join(awk[1:])} "$@"'),
            (tools / "systemctl", f'[ "$1" != is-active ] || exit {good}; echo "$*" >>{called}'),
        ):
            place.write_text(f"#!/bin/sh\n{body}\n")
            place.chmod(0o755)
        (library / "read-fit").chmod(0o755)
        text = (FILES / "fall-back").read_text()
        for old, new in {
            "/proc/cmdline": f"{slots}/cmdline",
            "/dev/disk/by-partlabel/": f"{self.directory}/",
        }.items():
            assert old in text
            text = text.replace(old, new)
        script = self.directory / "script"
        script.write_text(text)
        done = subprocess.run(
            [*shell, script],
            env={
                "PATH": f"{tools}:{slots}:/usr/bin:/bin",
                "LIBRARY": str(library),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0
        assert backend.get() == self.state
        return f"{done.stdout.replace('<4>', '')}{called.read_text()}"


@pytest.fixture
def device(fit: bytes, tmp_path: Path) -> Device:
    return Device(tmp_path, fit)


@pytest.mark.parametrize(("shell", "awk"), TOOLS)
def test_device_that_is_not_good_restarts_while_there_is_another_release(
    device: Device, shell: tuple[str, ...], awk: tuple[str, ...]
) -> None:
    assert device.end(shell, awk) == f"{RESTARTS}--no-block start reboot.target\n"


@pytest.mark.parametrize(("shell", "awk"), TOOLS)
def test_device_that_is_good_stays_up(
    device: Device, shell: tuple[str, ...], awk: tuple[str, ...]
) -> None:
    device.good = True
    assert device.end(shell, awk) == ""


@pytest.mark.parametrize(("shell", "awk"), TOOLS)
def test_device_stays_up_when_the_tpm_refuses_the_other_release(
    device: Device, shell: tuple[str, ...], awk: tuple[str, ...]
) -> None:
    device.lowest = f"echo {INDEX + 1}"
    assert device.end(shell, awk) == f"{STAYS}the release in slot a is too old\n"


def test_device_stays_up_when_the_other_slot_is_bad(device: Device) -> None:
    device.state = ("B A", "0", "2")
    assert device.end() == f"{STAYS}slot a is bad\n"


def test_device_restarts_from_its_last_attempt(device: Device) -> None:
    device.state = ("B A", "1", "0")
    assert device.end() == f"{RESTARTS}--no-block start reboot.target\n"


@pytest.mark.parametrize("other", [b"", b"\0" * 4096, b"\xd0\x0d\xfe\xed" * 1024])
def test_device_stays_up_when_there_is_no_fit_in_the_other_slot(
    device: Device, other: bytes
) -> None:
    device.other = other
    said = device.end()
    assert said == f"{STAYS}how old the release in slot a is cannot be read\n"


@pytest.mark.parametrize(
    "answer", ["exit 1", "echo '0 -o 1'", "echo", "echo 007", "echo 1; echo 2"]
)
def test_device_stays_up_when_the_tpm_does_not_say(device: Device, answer: str) -> None:
    device.lowest = answer
    said = device.end()
    assert said.startswith(STAYS)
    assert "restart" not in said


def test_index_that_is_no_index_is_not_compared(device: Device, fit: bytes) -> None:
    device.other = declaring(fit, index=(1 << 31).to_bytes(4))
    assert device.end() == f"{STAYS}how old the release in slot a is cannot be read\n"
