# SPDX-License-Identifier: MIT
"""When actions fire, and what ends a step."""

from __future__ import annotations

import math
import queue
import threading
import time
from typing import TYPE_CHECKING, cast

import pytest

from bootseal.boot.machine.console import NAMES
from bootseal.boot.machine.events import Ending, Sighting
from bootseal.boot.machine.session import Event, Off, Reset, StatusLine
from bootseal.boot.scenario import model
from bootseal.boot.scenario.model import Action, Do, Expectation, Step
from bootseal.boot.scenario.power_cycle import _Actions, _at_shell, _ending, _perform, forbidden
from bootseal.errors import Inconclusive, VerificationRefused

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.boot.machine.session import Session
    from bootseal.boot.scenario.workspace import Workspace

STATUS = StatusLine(time=5.0, data=b"{}")
OFF = Off(time=9.0, ending=Ending.POWERED_OFF)


def seen(name: str, detail: str = "", time: float = 1.0) -> Sighting:
    return Sighting(time=time, name=name, detail=detail, line=name)


def typing(when: str, text: str, **timing: float) -> Action:
    return Action(do=Do.TYPE, when=when, text=text, delay=timing.get("delay", 0.0))


def texts(actions: list[Action]) -> list[str]:
    return [action.text for action in actions]


def test_actions_after_power_on_come_at_their_times() -> None:
    actions = _Actions((Action(do=Do.TYPE, text="x", delay=1.0, repeat=3, interval=0.5),))
    assert actions.wake() == 1.0
    assert [len(actions.due(now)) for now in (0.9, 1.0, 1.1, 2.0, 3.0)] == [0, 1, 0, 2, 0]
    assert actions.finished()
    assert actions.wake() == math.inf


def test_actions_wait_for_their_trigger() -> None:
    actions = _Actions((typing("slot-tried:b", "x", delay=2.0),))
    for event in (seen("slot-tried", "a"), STATUS, Reset(time=1.0)):
        actions.notice(event)
    assert (actions.due(100.0), actions.left()) == ([], 1)
    actions.notice(seen("slot-tried", "b", time=3.0))
    assert (actions.wake(), actions.left(), actions.finished()) == (5.0, 0, False)
    assert texts(actions.due(5.0)) == ["x"]


def test_actions_take_turns_and_one_sighting_triggers_one() -> None:
    actions = _Actions((typing("shell", "first"), typing("shell", "second")))
    actions.notice(seen("shell"))
    actions.notice(seen("shell"))
    assert texts(actions.due(1.0)) == ["first"]
    assert not actions.finished()
    actions.notice(seen("shell", time=2.0))
    assert texts(actions.due(2.0)) == ["second"]
    assert actions.finished()


def test_actions_on_status_wait_for_the_status_line() -> None:
    actions = _Actions((Action(do=Do.RESET, when="status"),))
    actions.notice(seen("shell"))
    actions.notice(STATUS)
    assert actions.wake() == 5.0


class Talking:
    """What a call needs of a session: someone types."""

    def __init__(self) -> None:
        self.typed = ""

    def type(self, text: str) -> None:
        self.typed += text


def test_call_goes_on_next_to_the_console(tmp_path: Path) -> None:
    session, workspace = Talking(), cast("Workspace", tmp_path)
    called: queue.Queue[Workspace] = queue.Queue()
    answered = threading.Event()

    def refuse(given: Workspace) -> None:
        called.put(given)
        answered.wait(60)
        raise VerificationRefused("the proof is refused")

    action = Action(do=Do.TYPE, text="go", call=refuse)
    actions = _Actions((action,), workspace)
    for due in actions.due(1.0):
        _perform(cast("Session", session), due)
        actions.call(due)
    assert session.typed == "go"
    assert called.get(timeout=60) is workspace
    assert not actions.finished()
    assert not actions.failed()
    assert actions.objection() == "the device did not say all that was asked of it"

    answered.set()
    while not actions.finished():
        time.sleep(0.01)
    assert actions.failed()
    assert actions.objection() == "the proof is refused"


def test_call_that_cannot_be_carried_out_is_not_an_objection(tmp_path: Path) -> None:
    def fail(_given: Workspace) -> None:
        raise Inconclusive("no answer")

    action = Action(do=Do.TYPE, call=fail)
    actions = _Actions((action,), cast("Workspace", tmp_path))
    (due,) = actions.due(1.0)
    actions.call(due)
    while not actions.finished():
        time.sleep(0.01)
    with pytest.raises(Inconclusive, match="no answer"):
        actions.objection()


def test_triggers_that_are_no_patterns_have_names_of_their_own() -> None:
    assert not {model.STATUS, model.POWER_ON} & NAMES


UP = Step(expect=Expectation(ending=Ending.UP))
UNTIL = Step(expect=Expectation(ending=Ending.CONSOLE), until="panic")


@pytest.mark.parametrize(
    ("event", "step", "finished", "expected"),
    [
        pytest.param(STATUS, UP, True, Ending.UP, id="status"),
        pytest.param(STATUS, UP, False, None, id="status-with-work-left"),
        pytest.param(OFF, UP, False, Ending.POWERED_OFF, id="power-off-always-ends"),
        pytest.param(seen("panic"), UNTIL, True, Ending.CONSOLE, id="until"),
        pytest.param(seen("panic"), UNTIL, False, None, id="until-with-work-left"),
        pytest.param(seen("panic"), UP, True, None, id="pattern-nobody-waits-for"),
        pytest.param(seen("u-boot-prompt"), UP, False, Ending.CONSOLE, id="forbidden-always-ends"),
        pytest.param(Reset(time=1.0), UP, True, None, id="reset"),
    ],
)
def test_step_ends(event: Event, step: Step, expected: Ending | None, *, finished: bool) -> None:
    assert _ending(event, step, finished=finished) is expected


def test_forbidden_adds_the_step_s_own_and_leaves_out_what_is_allowed() -> None:
    expect = Expectation(ending=Ending.UP, forbidden=("panic",), allowed=("attacker-code",))
    names = forbidden(Step(expect=expect))
    assert "panic" in names
    assert "u-boot-prompt" in names
    assert "attacker-code" not in names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), False),
        (("shell",), True),
        (("shell", "restart"), True),
        (("shell", "u-boot"), False),
        (("u-boot", "shell"), True),
    ],
    ids=str,
)
def test_shell_from_before_a_reset_does_not_count(names: tuple[str, ...], expected: bool) -> None:  # noqa: FBT001
    assert _at_shell([seen(name) for name in names]) is expected
