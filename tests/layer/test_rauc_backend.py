# SPDX-License-Identifier: MIT
"""RAUC's backend over the slot state, in busybox's shell, with the real fw_setenv."""

from __future__ import annotations

import random
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

from bootseal.formats.uboot.environment import ENVIRONMENT_SIZE, emit_environment

LAYER = Path(__file__).parents[2] / "meta-secureboot"
BACKEND = LAYER / "dynamic-layers/meta-rauc/recipes-core/bootseal-update/files/rauc-backend"
NEW = ("A B", "3", "3")
REST = b"behind the block" * 256

pytestmark = [
    pytest.mark.tool("busybox"),
    pytest.mark.tool("fw_printenv"),
    pytest.mark.tool("fw_setenv"),
]


class Device(NamedTuple):
    """A slot state in a file, and what changes it."""

    directory: Path

    @property
    def state(self) -> Path:
        return self.directory / "bootstate"

    def put(self, order: str, left_a: str, left_b: str) -> None:
        values = {"BOOT_ORDER": order, "BOOT_A_LEFT": left_a, "BOOT_B_LEFT": left_b}
        self.state.write_bytes(emit_environment(values) + REST)

    def get(self) -> tuple[str, str, str]:
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
        done = subprocess.run(
            ["busybox", "sh", self.directory / "rauc-backend", *arguments],
            env={"PATH": f"{self.directory}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def device(tmp_path: Path) -> Device:
    (tmp_path / "fw_env.config").write_text(f"{tmp_path / 'bootstate'} 0x0 0x4000\n")
    (tmp_path / "cmdline").write_text("quiet bootseal.slot=b bootseal.blocks=1\n")
    text = BACKEND.read_text().replace("/proc/cmdline", str(tmp_path / "cmdline"))
    (tmp_path / "rauc-backend").write_text(text)
    for tool in ("fw_printenv", "fw_setenv"):
        wrapper = tmp_path / tool
        config = tmp_path / "fw_env.config"
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which(tool)} -c {config} "$@"\n')
        wrapper.chmod(0o755)
    found = Device(tmp_path)
    found.put(*NEW)
    return found


def test_current_slot_is_that_of_the_command_line(device: Device) -> None:
    assert device.run("get-current") == (0, "B\n", "")
    (device.directory / "cmdline").write_text("quiet\n")
    assert device.run("get-current")[0] == 1


@pytest.mark.parametrize(
    ("state", "primary"),
    [
        (("A B", "3", "3"), "A"),
        (("B A", "3", "3"), "B"),
        (("A B", "0", "3"), "B"),
        (("B A", "1", "0"), "A"),
    ],
)
def test_primary_is_the_first_with_attempts_left(
    device: Device, state: tuple[str, str, str], primary: str
) -> None:
    device.put(*state)

    assert device.run("get-primary") == (0, f"{primary}\n", "")


def test_there_is_no_primary_without_attempts(device: Device) -> None:
    device.put("A B", "0", "0")
    code, printed, said = device.run("get-primary")

    assert (code, printed) == (1, "")
    assert "no slot has attempts left" in said


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        (("set-primary", "B"), ("B A", "1", "3")),
        (("set-primary", "A"), ("A B", "3", "2")),
        (("set-state", "B", "good"), ("A B", "1", "3")),
        (("set-state", "B", "bad"), ("A B", "1", "0")),
        (("set-state", "A", "bad"), ("B A", "0", "2")),
    ],
)
def test_change_is_made_and_nothing_else(
    device: Device, arguments: tuple[str, ...], state: tuple[str, str, str]
) -> None:
    device.put("A B", "1", "2")

    assert device.run(*arguments) == (0, "", "")
    assert device.get() == state


def test_installation_ends_in_the_new_slot(device: Device) -> None:
    device.run("set-state", "B", "bad")
    assert device.get() == ("A B", "3", "0")
    assert device.run("get-state", "B") == (0, "bad\n", "")
    device.run("set-primary", "B")
    assert device.get() == ("B A", "3", "3")
    assert device.run("get-state", "B") == (0, "good\n", "")


@pytest.mark.parametrize("order", ["B", "A B;reset", "B A "])
def test_order_that_the_boot_logic_does_not_know_is_a_first(device: Device, order: str) -> None:
    device.put(order, "3", "3")

    assert device.run("get-primary") == (0, "A\n", "")
    device.run("set-state", "A", "good")
    assert device.get() == NEW


@pytest.mark.parametrize("left", ["9", "", "0x3", "-1", "33", " 3"])
def test_attempts_that_the_boot_logic_does_not_know_are_none(device: Device, left: str) -> None:
    device.put("A B", left, "2")

    assert device.run("get-primary") == (0, "B\n", "")
    assert device.run("get-state", "A") == (0, "bad\n", "")
    device.run("set-state", "B", "good")
    assert device.get() == ("A B", "0", "3")


def test_noise_is_replaced_by_a_valid_block(device: Device) -> None:
    noise = random.Random(15).randbytes(ENVIRONMENT_SIZE)  # noqa: S311 - the same in each run
    device.state.write_bytes(noise + REST)

    assert device.run("get-primary") == (0, "A\n", "")
    assert device.run("set-primary", "B") == (0, "", "")
    assert device.get() == ("B A", "3", "3")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("install",),
        ("get-primary", "A"),
        ("set-primary",),
        ("set-primary", "a"),
        ("set-primary", "A B"),
        ("set-primary", "A", "B"),
        ("get-state", "A", "good"),
        ("set-state", "A", "good", "now"),
        ("set-state", "A"),
        ("set-state", "A", "maybe"),
        ("set-state", "../A", "good"),
    ],
)
def test_request_that_is_not_known_changes_nothing(
    device: Device, arguments: tuple[str, ...]
) -> None:
    before = device.state.read_bytes()
    code, printed, said = device.run(*arguments)

    assert (code, printed) == (1, "")
    assert said.startswith("bootseal: rauc-backend: ")
    assert device.state.read_bytes() == before


@pytest.mark.parametrize("arguments", [("get-primary",), ("get-state", "B"), ("set-primary", "A")])
def test_state_that_is_not_there_is_an_error(device: Device, arguments: tuple[str, ...]) -> None:
    device.state.unlink()

    code, printed, said = device.run(*arguments)

    assert (code, printed) == (1, "")
    assert "the slot state cannot be read" in said


def test_state_that_cannot_be_written_is_an_error(device: Device) -> None:
    device.state.unlink()
    device.state.mkdir()

    code, _, said = device.run("set-primary", "B")

    assert code == 1
    assert "slot state" in said
