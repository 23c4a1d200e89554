# SPDX-License-Identifier: MIT
"""RAUC's backend over the slot state, in busybox's shell, with the real fw_setenv."""

from __future__ import annotations

import fcntl
import random
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.slot_state import LAYER, NEW, SlotState

from bootseal.formats.uboot import slot_state

BACKEND = LAYER / "dynamic-layers/meta-rauc/recipes-core/bootseal-update/files/rauc-backend"

pytestmark = [
    pytest.mark.tool("busybox"),
    pytest.mark.tool("flock"),
    pytest.mark.tool("fw_printenv"),
    pytest.mark.tool("fw_setenv"),
]


@pytest.fixture
def device(tmp_path: Path) -> SlotState:
    found = SlotState(tmp_path, BACKEND)
    found.set_up(slot="b")
    return found


def test_current_slot_is_that_of_the_command_line(device: SlotState) -> None:
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
    device: SlotState, state: tuple[str, str, str], primary: str
) -> None:
    device.put(*state)

    assert device.run("get-primary") == (0, f"{primary}\n", "")


def test_there_is_no_primary_without_attempts(device: SlotState) -> None:
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
    device: SlotState, arguments: tuple[str, ...], state: tuple[str, str, str]
) -> None:
    device.put("A B", "1", "2")

    assert device.run(*arguments) == (0, "", "")
    assert device.get() == state


def test_installation_ends_in_the_new_slot(device: SlotState) -> None:
    device.run("set-state", "B", "bad")
    assert device.get() == ("A B", "3", "0")
    assert device.run("get-state", "B") == (0, "bad\n", "")
    device.run("set-primary", "B")
    assert device.get() == ("B A", "3", "3")
    assert device.run("get-state", "B") == (0, "good\n", "")


@pytest.mark.parametrize("order", ["B", "A B;reset", "B A "])
def test_order_that_the_boot_logic_does_not_know_is_a_first(device: SlotState, order: str) -> None:
    device.put(order, "3", "3")

    assert device.run("get-primary") == (0, "A\n", "")
    device.run("set-state", "A", "good")
    assert device.get() == NEW


@pytest.mark.parametrize("left", ["9", "", "0x3", "-1", "33", " 3"])
def test_attempts_that_the_boot_logic_does_not_know_are_none(device: SlotState, left: str) -> None:
    device.put("A B", left, "2")

    assert device.run("get-primary") == (0, "B\n", "")
    assert device.run("get-state", "A") == (0, "bad\n", "")
    device.run("set-state", "B", "good")
    assert device.get() == ("A B", "0", "3")


def test_noise_is_replaced_by_a_valid_block(device: SlotState) -> None:
    noise = random.Random(15).randbytes(slot_state.SIZE)  # noqa: S311 - the same in each run
    device.put_copies(noise, noise[::-1])

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
    device: SlotState, arguments: tuple[str, ...]
) -> None:
    before = device.state.read_bytes()
    code, printed, said = device.run(*arguments)

    assert (code, printed) == (1, "")
    assert said.startswith("bootseal: rauc-backend: ")
    assert device.state.read_bytes() == before


def test_change_waits_for_another_one_and_keeps_it(device: SlotState) -> None:
    lock, waiting = device.directory / "run/slot-state.lock", device.directory / "waiting"
    tool = device.directory / "flock"
    tool.write_text(f'#!/bin/sh\ntouch {waiting}\nexec {shutil.which("flock")} "$@"\n')
    tool.chmod(0o755)
    device.put("A B", "3", "3")
    lock.parent.mkdir()
    with ThreadPoolExecutor() as pool:
        with lock.open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            run = pool.submit(device.run, "set-state", "B", "bad")
            end = time.monotonic() + 20
            while not waiting.exists() and time.monotonic() < end:
                time.sleep(0.01)
            device.put("A B", "1", "3")
        assert run.result() == (0, "", "")
    assert device.get() == ("A B", "1", "0")


def test_lock_is_not_for_others_to_hold(device: SlotState) -> None:
    device.run("set-primary", "A")

    assert stat.S_IMODE((device.directory / "run/slot-state.lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("arguments", [("get-primary",), ("get-state", "B"), ("set-primary", "A")])
def test_state_that_is_not_there_is_an_error(device: SlotState, arguments: tuple[str, ...]) -> None:
    device.state.unlink()

    code, printed, said = device.run(*arguments)

    assert (code, printed) == (1, "")
    assert "the slot state cannot be read" in said


def test_state_that_cannot_be_written_is_an_error(device: SlotState) -> None:
    device.state.unlink()
    device.state.mkdir()

    code, _, said = device.run("set-primary", "B")

    assert code == 1
    assert "slot state" in said
