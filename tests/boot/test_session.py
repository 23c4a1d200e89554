# SPDX-License-Identifier: MIT
"""The session against a real QEMU running a tiny firmware."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from bootseal.boot.machine import swtpm
from bootseal.boot.machine.events import Ending
from bootseal.boot.machine.session import switched_on
from bootseal.boot.scenario import power_cycle
from bootseal.boot.scenario.model import Action, Do, Expectation, Step
from bootseal.errors import ToolError, VerificationRefused

if TYPE_CHECKING:
    from tests.boot.conftest import MakeMachine

    from bootseal.boot.scenario.workspace import Workspace

pytestmark = pytest.mark.boot

OFF = Expectation(ending=Ending.POWERED_OFF)


def test_session_guest_powers_off_every_byte_is_kept(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    machine = make_machine("bootseal: trying slot a\nhello", "o")
    with switched_on(machine, tmp_path / "serial.log") as session:
        cycle_ = power_cycle.run(session, Step(expect=OFF, timeout=30))
    assert cycle_.ending is Ending.POWERED_OFF
    assert (tmp_path / "serial.raw").read_bytes() == b"bootseal: trying slot a\nhello"
    assert [line[10:] for line in (tmp_path / "serial.log").read_text().splitlines()] == [
        "bootseal: trying slot a",
        "hello",
    ]
    assert [(s.name, s.detail) for s in session.console.seen] == [("slot-tried", "a")]


def test_session_silent_guest_times_out(make_machine: MakeMachine, tmp_path: Path) -> None:
    with switched_on(make_machine("", "h"), tmp_path / "serial.log") as session:
        ended = power_cycle.run(session, Step(expect=OFF, timeout=0.5))
    assert ended.ending is Ending.TIMEOUT


def test_session_call_that_ends_badly_ends_the_step(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    def refuse(_given: Workspace) -> None:
        raise VerificationRefused("the job ended FAILED")

    action = Action(do=Do.TYPE, when="slot-tried:a", call=refuse)
    machine = make_machine("bootseal: trying slot a\n", "h")
    with switched_on(machine, tmp_path / "serial.log") as session:
        step = Step(expect=OFF, actions=(action,), timeout=30)
        ended = power_cycle.run(session, step, workspace=cast("Workspace", tmp_path))
    assert (ended.ending, ended.objection) == (Ending.STOPPED, "the job ended FAILED")


def test_session_call_that_goes_on_when_the_power_is_cut_is_no_objection(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    over = threading.Event()

    def wait(_given: Workspace) -> None:
        over.wait(60)

    actions = (
        Action(do=Do.TYPE, call=wait),
        Action(do=Do.CUT, when="slot-tried:a"),
    )
    step = Step(expect=Expectation(ending=Ending.CUT), actions=actions, timeout=30)
    with switched_on(make_machine("bootseal: trying slot a\n", "h"), tmp_path / "log") as session:
        ended = power_cycle.run(session, step, workspace=cast("Workspace", tmp_path))
    over.set()
    assert (ended.ending, ended.objection) == (Ending.CUT, "")


def test_session_two_triggers_in_one_read_are_both_seen(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    actions = (
        Action(do=Do.TYPE, when="slot-tried:a", text="-"),
        Action(do=Do.TYPE, when="slot-refused:a", text="q"),
    )
    said = "bootseal: trying slot a\nbootseal: slot a refused\n"
    with switched_on(make_machine(said, "e"), tmp_path / "serial.log") as session:
        ended = power_cycle.run(session, Step(expect=OFF, actions=actions, timeout=30))
    assert (ended.ending, ended.undone) == (Ending.POWERED_OFF, 0)


def test_session_prompt_without_line_end_ends_at_once(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    with switched_on(make_machine("U-Boot\n=> ", "h"), tmp_path / "serial.log") as session:
        ended = power_cycle.run(session, Step(expect=OFF, timeout=30))
    assert ended.ending is Ending.CONSOLE
    assert session.console.seen[-1].name == "u-boot-prompt"


def test_session_typed_text_reaches_the_guest(make_machine: MakeMachine, tmp_path: Path) -> None:
    type_ = Action(do=Do.TYPE, when="slot-tried:b", text="more than a FIFO holds of text: q")
    machine = make_machine("bootseal: trying slot b\n", "e")
    with switched_on(machine, tmp_path / "serial.log") as session:
        ended = power_cycle.run(session, Step(expect=OFF, actions=(type_,), timeout=30))
    assert ended.ending is Ending.POWERED_OFF
    assert b"more than a FIFO holds of text: q" in (tmp_path / "serial.raw").read_bytes()


def test_session_planned_power_cut_is_a_cut(make_machine: MakeMachine, tmp_path: Path) -> None:
    cut = Action(do=Do.CUT, when="slot-tried:a")
    step = Step(expect=Expectation(ending=Ending.CUT), actions=(cut,), timeout=30)
    with switched_on(make_machine("bootseal: trying slot a\n", "h"), tmp_path / "log") as session:
        assert power_cycle.run(session, step).ending is Ending.CUT


def test_session_guest_resets_are_counted(make_machine: MakeMachine, tmp_path: Path) -> None:
    machine = make_machine("bootseal: trying slot a\n", "r")
    with switched_on(machine, tmp_path / "serial.log") as session:
        while session.resets < 2:
            session.poll(30)
            assert session.elapsed() < 30
        ended = power_cycle.run(session, Step(expect=OFF, timeout=0))
    assert ended.ending is Ending.TIMEOUT


def test_session_reset_button_starts_the_guest_again(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    actions = (
        Action(do=Do.RESET, when="slot-tried:a"),
        Action(do=Do.TYPE, when="slot-tried:a", text="q"),
    )
    machine = make_machine("bootseal: trying slot a\n", "e")
    with switched_on(machine, tmp_path / "serial.log") as session:
        ended = power_cycle.run(session, Step(expect=OFF, actions=actions, timeout=30))
    assert (ended.ending, ended.undone, session.resets) == (Ending.POWERED_OFF, 0, 1)


def test_session_killed_qemu_is_a_crash_and_not_a_power_off(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    machine = make_machine("bootseal: trying slot a\n", "h")
    pid = tmp_path / "pid"
    machine = dataclasses.replace(machine, extra=("-pidfile", str(pid)))
    with switched_on(machine, tmp_path / "serial.log") as session:
        session.poll(30)
        os.kill(int(pid.read_text()), signal.SIGKILL)
        ended = power_cycle.run(session, Step(expect=OFF, timeout=30))
    assert ended.ending is Ending.CRASHED


def test_session_unknown_machine_says_what_qemu_said(
    make_machine: MakeMachine, tmp_path: Path
) -> None:
    machine = dataclasses.replace(make_machine("", "h"), extra=("-device", "no-such-device"))
    with pytest.raises(ToolError, match="no-such-device"), switched_on(machine, tmp_path / "log"):
        pass


def test_session_with_tpm_keeps_its_state(make_machine: MakeMachine, tmp_path: Path) -> None:
    swtpm.manufacture(tmp_path / "tpm")
    machine = dataclasses.replace(make_machine("hello\n", "o"), tpm=tmp_path / "tpm")
    for _ in range(2):
        with switched_on(machine, tmp_path / "serial.log") as session:
            assert (
                power_cycle.run(session, Step(expect=OFF, timeout=30)).ending is Ending.POWERED_OFF
            )


@pytest.mark.parametrize("memory", [swtpm._MEMORY, Path("/none")], ids=["memory", "disk"])
def test_tpm_cleared_changes_its_seed_and_keeps_the_chip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: Path
) -> None:
    monkeypatch.setattr(swtpm, "_MEMORY", memory)
    state = tmp_path / "tpm"
    swtpm.manufacture(state)
    before = (state / swtpm.STATE_FILE).read_bytes()
    swtpm.clear(state, tmp_path)
    assert (state / swtpm.STATE_FILE).read_bytes() != before


def test_tpm_with_damaged_state_is_a_tool_error(tmp_path: Path) -> None:
    state = tmp_path / "tpm"
    swtpm.manufacture(state)
    (state / swtpm.STATE_FILE).write_bytes(b"damaged")
    with pytest.raises(ToolError):
        swtpm.clear(state, tmp_path)
