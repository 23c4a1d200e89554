# SPDX-License-Identifier: MIT
"""Run one step: do its actions in order, and report how the power cycle ended."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from bootseal.boot.machine.events import Ending, Sighting
from bootseal.boot.machine.session import Event, Off, Reset, Session, StatusLine
from bootseal.boot.scenario.model import ALWAYS_FORBIDDEN, POWER_ON, STATUS, Action, Do, Step
from bootseal.errors import Inconclusive, VerificationRefused

if TYPE_CHECKING:
    from bootseal.boot.machine.console import Line
    from bootseal.boot.scenario.workspace import Workspace

_SHUTDOWN_TIMEOUT: Final = 60.0
_STOP_LATENCY: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A power cycle that reached an ending.

    Attributes:
        ending: Which.
        duration: Seconds from power-on to the ending.
        undone: Actions whose trigger never came.
        status: The last status line, b"" when none came.
        objection: What was wrong with what the device said in a call; "" for nothing.
        resets: How many times the machine was reset on the way.
        seen: Named console lines in order.
        last: The console's last line, named or not; None when there was none.
    """

    ending: Ending
    duration: float
    undone: int
    status: bytes
    objection: str
    resets: int
    seen: tuple[Sighting, ...]
    last: Line | None


def forbidden(step: Step) -> tuple[str, ...]:
    """Return the patterns that must not be seen in a step."""
    expect = step.expect
    return (*(n for n in ALWAYS_FORBIDDEN if n not in expect.allowed), *expect.forbidden)


def run(
    session: Session,
    step: Step,
    *,
    workspace: Workspace | None = None,
    stop: threading.Event | None = None,
) -> Cycle:
    """Watch a device that was just switched on until the step is over.

    The status line and the `until` pattern end a step only after all its actions were done; a
    power-off, a crash, a forbidden console line, a call that ends badly and the timeout end it at
    any time.

    Args:
        session: The device.
        step: What to do and to wait for.
        workspace: What calls work on; without it there are none.
        stop: Set by another thread to give up.

    Raises:
        Inconclusive: Told to give up.
        ToolError: QEMU answered a command with an error.
        BootsealError: A call could not be carried out.
    """
    actions = _Actions(step.actions, workspace)
    status = b""
    while True:
        _do(session, actions)
        if stop is not None and stop.is_set():
            raise Inconclusive("stopped before the step was over")
        if actions.failed():
            return _cycle(session, Ending.STOPPED, session.elapsed(), actions, status)
        wake = min(step.timeout, actions.wake(), session.elapsed() + _STOP_LATENCY)
        events = session.poll(wake)
        if not events and session.elapsed() >= step.timeout:
            return _cycle(session, Ending.TIMEOUT, session.elapsed(), actions, status)
        for event in events:
            finished = actions.finished()
            if isinstance(event, StatusLine):
                status = event.data
            if ending := _ending(event, step, finished=finished):
                return _cycle(session, ending, event.time, actions, status)
            actions.notice(event)
            # At once, or the next event of the same read could not be the next trigger.
            _do(session, actions)


def shut_down(session: Session, *, login: bool) -> None:
    """Switch off a device that is up: cleanly where it lets us log in, else by pulling the plug.

    Raises:
        ToolError: QEMU answered a command with an error.
    """
    deadline = session.elapsed() + _SHUTDOWN_TIMEOUT
    asked = False
    while login and session.elapsed() < deadline:
        if not asked and _at_shell(session.console.seen):
            session.type("systemctl poweroff\r")
            asked = True
        if any(isinstance(event, Off) for event in session.poll(deadline)):
            return
    session.cut()
    # A QEMU that hangs is killed with the session.
    deadline = session.elapsed() + _SHUTDOWN_TIMEOUT
    while session.elapsed() < deadline:
        if any(isinstance(event, Off) for event in session.poll(deadline)):
            return


def _at_shell(seen: Sequence[Sighting]) -> bool:
    """Tell whether the shell is there since the last reset."""
    last = next((s.name for s in reversed(seen) if s.name in {"shell", "u-boot"}), "")
    return last == "shell"


def _cycle(
    session: Session, ending: Ending, duration: float, actions: _Actions, status: bytes
) -> Cycle:
    return Cycle(
        ending=ending,
        duration=duration,
        undone=actions.left(),
        status=status,
        # A call that still waits for the device when the power is cut has no answer to expect.
        objection="" if ending is Ending.CUT and not actions.failed() else actions.objection(),
        resets=session.resets,
        seen=tuple(session.console.seen),
        last=session.console.lines[-1] if session.console.lines else None,
    )


def _ending(event: Event, step: Step, *, finished: bool) -> Ending | None:
    match event:
        case Off():
            return event.ending
        case StatusLine():
            return Ending.UP if finished else None
        case Sighting():
            if any(event.matches(name) for name in forbidden(step)):
                return Ending.CONSOLE
            reached = bool(step.until) and event.matches(step.until)
            return Ending.CONSOLE if reached and finished else None
        case Reset():
            return None
        case _:
            assert_never(event)


def _do(session: Session, actions: _Actions) -> None:
    """Do what is due."""
    for action in actions.due(session.elapsed()):
        _perform(session, action)
        actions.call(action)


def _perform(session: Session, action: Action) -> None:
    match action.do:
        case Do.TYPE:
            session.type(action.text)
        case Do.RESET:
            session.reset()
        case Do.CUT:
            session.cut()
        case _:
            assert_never(action.do)


class _Actions:
    """What is left to do: timed actions, and those that wait for their trigger, in order.

    Calls run next to the loop that reads the console, or the log would miss what the device says
    meanwhile.
    """

    def __init__(self, actions: tuple[Action, ...], workspace: Workspace | None = None) -> None:
        self._workspace = workspace
        self._calls: list[Future[None]] = []
        self._waiting = [a for a in actions if a.when != POWER_ON]
        self._timed = [t for a in actions if a.when == POWER_ON for t in _times(a, 0.0)]
        self._armed: list[tuple[float, Action]] = []

    def notice(self, event: Event) -> None:
        """Take an event that may be the trigger of the next action."""
        if not self._waiting or self._armed:
            return
        wanted = self._waiting[0].when
        if isinstance(event, StatusLine):
            triggered = wanted == STATUS
        else:
            triggered = isinstance(event, Sighting) and event.matches(wanted)
        if triggered:
            self._armed = _times(self._waiting.pop(0), event.time)

    def due(self, now: float) -> list[Action]:
        """Return the actions whose time has come."""
        due = [action for at, action in self._timed + self._armed if at <= now]
        self._timed = [(at, action) for at, action in self._timed if at > now]
        self._armed = [(at, action) for at, action in self._armed if at > now]
        return due

    def wake(self) -> float:
        """Return when the next action is due, in seconds since power-on."""
        return min((at for at, _ in self._timed + self._armed), default=math.inf)

    def finished(self) -> bool:
        """Tell whether all actions were done, and all calls are over."""
        over = all(call.done() for call in self._calls)
        return over and not self._waiting and not self._timed and not self._armed

    def failed(self) -> bool:
        """Tell whether a call ended badly; `objection` says how."""
        return any(call.done() and call.exception() is not None for call in self._calls)

    def call(self, action: Action) -> None:
        """Begin the action's call, if it has one."""
        if action.call is not None and self._workspace is not None:
            self._calls.append(_begin(action.call, self._workspace))

    def objection(self) -> str:
        """Return what was wrong with what the device said in a call; "" for nothing.

        Raises:
            BootsealError: A call could not be carried out.
        """
        # Those that ended say more than those that did not.
        for call in sorted(self._calls, key=lambda each: not each.done()):
            if not call.done():
                return "the device did not say all that was asked of it"
            try:
                call.result()
            except VerificationRefused as refusal:
                return refusal.message
        return ""

    def left(self) -> int:
        """Return the number of actions whose trigger never came."""
        return len(self._waiting)


def _begin(call: Callable[[Workspace], None], workspace: Workspace) -> Future[None]:
    """Run a call in a thread that does not keep the program from ending."""
    future: Future[None] = Future()

    def carry_out() -> None:
        try:
            call(workspace)
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=carry_out, daemon=True).start()
    return future


def _times(action: Action, start: float) -> list[tuple[float, Action]]:
    return [(start + action.delay + n * action.interval, action) for n in range(action.repeat)]
