# SPDX-License-Identifier: MIT
"""What the agent does next: a pure function of what it knows and of what happened.

`step` returns the next state and the actions that lead there, in order; `agent` carries them out.
The state is lost with the power, all but the record that `Save` writes before a restart. A job that
is in progress without a record is begun again. Of an application, what was downloaded is still
there, and to install what is installed changes nothing.

Spec: AWS IoT Jobs, device MQTT operations (`wire` has the messages).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from bootseal_agent import document
from bootseal_agent.document import Update
from bootseal_agent.events import (
    ALIVE,
    Abandon,
    Accepted,
    Action,
    Connected,
    Device,
    Event,
    Execution,
    Failed,
    Forget,
    GetJob,
    Good,
    Got,
    Install,
    Installed,
    MarkBad,
    Notified,
    Offered,
    Phase,
    Progressed,
    Record,
    Refused,
    Report,
    Restart,
    Retry,
    Save,
    Silent,
    StartNext,
    Status,
)

if TYPE_CHECKING:
    from bootseal_agent.document import Asked

ATTEMPTS: Final = 3
"""How often a bundle or an image is asked for before a failure in passing is one for good."""

REVERTED: Final = "reverted to last known good"

_STEP: Final = 10
_OTHER: Final = {"a": "b", "b": "a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the agent knows.

    Attributes:
        device: What runs.
        phase: Where it is with a job.
        job: The job's id; empty when idle.
        number: Its execution number on this device.
        version: Its version, as far as AWS told; 0 if it has to be asked for.
        asked: What it asks for.
        attempts: How often the install was begun.
        percent: How much of it was last reported.
        waiting: A report is under way whose answer is not the one that matters.
        verdict: How the job ended, and why.
    """

    device: Device
    phase: Phase = Phase.IDLE
    job: str = ""
    number: int = 0
    version: int = 0
    asked: Asked | None = None
    attempts: int = 0
    percent: int = 0
    waiting: bool = False
    verdict: tuple[Status, str] | None = None


Result: TypeAlias = tuple[State, tuple[Action, ...]]


def begin(device: Device, record: Record | None) -> Result:
    """Return where the agent is when it starts.

    Args:
        device: What runs.
        record: What was written before the last restart, if anything.
    """
    state = State(device=device)
    if record is None:
        return state, ()
    state = replace(state, job=record.job, number=record.number)
    if record.boot == device.boot:
        return _ask(replace(state, phase=Phase.RESTARTING))
    if record.slot != device.slot:
        verdict = (Status.FAILED, REVERTED)
        state, ask = _ask(replace(state, phase=Phase.REPORTING, verdict=verdict))
        return state, (MarkBad(), *ask)
    if document.order(record.version) != document.order(device.version):
        said = f"version {device.version} runs where {record.version} was installed"
        return _ask(replace(state, phase=Phase.REPORTING, verdict=(Status.FAILED, said)))
    state = replace(state, phase=Phase.CONFIRMING)
    return _confirmed(state) if device.good else (state, ())


def step(state: State, event: Event) -> Result:
    """Return what follows from an event.

    Args:
        state: What the agent knows.
        event: What happened.
    """
    if isinstance(event, Good):
        state = replace(state, device=replace(state.device, good=True))
    return _PHASES[state.phase](state, event)


def _idle(state: State, event: Event) -> Result:
    match event:
        case Connected() | Silent() | Good() if state.device.good:
            # Not before: the other slot is what an unproven release falls back to.
            return state, (StartNext(),)
        case Notified(job) if job and state.device.good:
            return state, (StartNext(),)
        case Offered(execution) if execution is not None and state.device.good:
            return _take(state, execution)
        case Refused():
            return state, (Retry(),)
        case _:
            return state, ()


def _take(state: State, execution: Execution, *, attempts: int = 1) -> Result:
    """Begin with a job, or say at once how it ends; what it asks for is not believed twice."""
    asked = execution.asked
    state = replace(
        state, job=execution.job, number=execution.number, version=execution.version, asked=asked
    )
    if asked is None:
        return _end(state, Status.REJECTED, execution.fault)
    if not isinstance(asked, Update):
        return _install(state, asked, attempts=attempts)
    if reason := _unfit(state.device, asked):
        return _end(state, Status.REJECTED, reason)
    if document.order(asked.version) == document.order(state.device.version):
        return _end(state, Status.SUCCEEDED, f"version {state.device.version} runs already")
    return _install(state, asked, attempts=attempts)


def _unfit(device: Device, asked: Update) -> str:
    """Return why an update is not for this device; empty if it is."""
    if asked.compatible != device.compatible:
        return f"the update is for the board {asked.compatible}: this is {device.compatible}"
    if document.order(asked.version) < document.order(device.version):
        return f"version {asked.version} is older than {device.version}, which runs"
    return ""


def _install(state: State, asked: Asked, *, attempts: int) -> Result:
    state = replace(
        state,
        phase=Phase.INSTALLING,
        asked=asked,
        attempts=attempts,
        percent=0,
        waiting=True,
    )
    return state, (_progress(state, "install"), Install(asked))


def _installing(state: State, event: Event) -> Result:
    match event:
        case Progressed(percent, said):
            return _progressed(state, percent, said)
        case Installed(said):
            return _installed(state, said)
        case Failed(_, passing) if passing and state.attempts < ATTEMPTS:
            state = replace(state, phase=Phase.FETCHING, waiting=False, version=0)
            return state, (Retry(),)
        case Failed(reason, _, ongoing):
            state, actions = _end(state, Status.FAILED, reason)
            # What RAUC installs after that is of a job that has failed.
            undo = (MarkBad(),) if ongoing and isinstance(state.asked, Update) else ()
            return state, (*undo, *actions)
        case _:
            return _while_installing(state, event)


def _progressed(state: State, percent: int, said: str) -> Result:
    if percent < state.percent + _STEP or state.waiting or not state.version:
        return state, ()
    state = replace(state, percent=percent, waiting=True)
    return state, (_progress(state, said),)


def _while_installing(state: State, event: Event) -> Result:
    """Return what follows from what AWS says while something is installed."""
    result: Result = state, ()
    match event:
        case Accepted(version):
            result = replace(state, version=version, waiting=False), ()
        case Got(execution) if _is_ours(state, execution):
            result = replace(state, version=execution.version, waiting=False), ()
        case Got() | Refused("ResourceNotFound" | "TerminalStateReached"):
            result = _abandon(state)
        case Notified(job) if job != state.job:
            result = _ask(state)
        case Connected() | Silent() | Refused("VersionMismatch" | "InvalidStateTransition"):
            result = _ask(state)
        case Refused():
            # A report of progress may get lost: the next one follows. A question may not.
            result = replace(state, waiting=False), () if state.version else (Retry(),)
        case _:
            pass
    return result


def _fetching(state: State, event: Event) -> Result:
    match event:
        case Got(execution) if _is_ours(state, execution):
            return _take(state, execution, attempts=state.attempts + 1)
        case Got() | Refused("ResourceNotFound" | "TerminalStateReached"):
            return _free(state), (Forget(), StartNext())
        case Connected() | Silent():
            return _ask(state)
        case Refused():
            return state, (Retry(),)
        case _:
            return state, ()


def _abandon(state: State) -> Result:
    """Wait for the end of what nobody wants any more; only that of an update is undone."""
    asked = state.asked
    state = replace(_free(state), phase=Phase.ABANDONED, asked=asked)
    return state, () if isinstance(asked, Update) else (Abandon(),)


def _abandoned(state: State, event: Event) -> Result:
    match event:
        case Installed() | Failed() if isinstance(state.asked, Update):
            return _free(state), (MarkBad(), StartNext())
        case Installed() | Failed():
            return _free(state), (Forget(), StartNext())
        case _:
            return state, ()


def _installed(state: State, said: str) -> Result:
    slot, asked = _OTHER[state.device.slot], state.asked
    if not isinstance(asked, Update):
        return _end(state, Status.SUCCEEDED, said)
    version = asked.version
    record = Record(
        job=state.job, number=state.number, slot=slot, version=version, boot=state.device.boot
    )
    state = replace(state, phase=Phase.RESTARTING)
    if state.waiting or not state.version:
        return state, (Save(record),)
    return state, (Save(record), _progress(state, "reboot"))


def _restarting(state: State, event: Event) -> Result:
    result: Result = state, ()
    match event:
        case Got(execution) if _is_ours(state, execution):
            result = _announce(state, execution.version)
        case Accepted(version) if state.waiting:
            # The answer to the last report of progress.
            result = _announce(state, version)
        case Got() | Refused("ResourceNotFound" | "TerminalStateReached"):
            result = _free(state), (MarkBad(), Forget(), StartNext())
        case Failed(reason, _):
            # Without a record, the job would be begun again after every restart.
            state = replace(state, phase=Phase.REPORTING, verdict=(Status.FAILED, reason))
            state, ask = _ask(state)
            result = state, (MarkBad(), *ask)
        case Connected() | Refused("VersionMismatch" | "InvalidStateTransition"):
            result = _ask(state)
        case Accepted() | Silent() | Refused():
            # Where nobody answers, the report may get lost: the update does not wait for it.
            result = replace(state, phase=Phase.LEAVING), (Restart(),)
        case _:
            pass
    return result


def _announce(state: State, version: int) -> Result:
    state = replace(state, version=version, waiting=False)
    return state, (_progress(state, "reboot"),)


def _leaving(state: State, event: Event) -> Result:
    del event
    return state, ()


def _confirming(state: State, event: Event) -> Result:
    return _confirmed(state) if isinstance(event, Good) else (state, ())


def _confirmed(state: State) -> Result:
    verdict = (Status.SUCCEEDED, f"version {state.device.version} runs")
    return _ask(replace(state, phase=Phase.REPORTING, verdict=verdict))


def _reporting(state: State, event: Event) -> Result:
    match event:
        case Got(execution) if _is_ours(state, execution):
            return _tell(replace(state, version=execution.version, waiting=False))
        case Accepted(version) if state.waiting:
            return _tell(replace(state, version=version, waiting=False))
        case Accepted() | Got() | Refused("ResourceNotFound" | "TerminalStateReached"):
            return _free(state), (Forget(), StartNext())
        case Connected() | Silent():
            return _ask(state)
        case Refused():
            # After a while, whatever it was: two that report on one job do not race.
            return state, (Retry(),)
        case _:
            return state, ()


def _end(state: State, status: Status, reason: str) -> Result:
    state = replace(state, phase=Phase.REPORTING, verdict=(status, reason))
    return (state, ()) if state.waiting else _tell(state)


def _tell(state: State) -> Result:
    if state.verdict is None or not state.version:
        return _ask(state)
    status, reason = state.verdict
    report = Report(state.job, state.number, state.version, status, (("reason", reason),))
    return state, (report,)


def _ask(state: State) -> Result:
    """Ask how the job is; what is known of its version is not believed until then."""
    return replace(state, version=0, waiting=False), (GetJob(state.job),)


def _progress(state: State, said: str) -> Report:
    details = [("step", said), ("progress", f"{state.percent}")]
    if said == "reboot":
        details = details[:1]
    return Report(state.job, state.number, state.version, Status.IN_PROGRESS, tuple(details))


def _is_ours(state: State, execution: Execution) -> bool:
    """Tell whether the job can still be reported on, and is this one and not a retry of it."""
    ours = (execution.job, execution.number) == (state.job, state.number)
    return ours and execution.status in ALIVE


def _free(state: State) -> State:
    return State(device=state.device)


_PHASES: Final[dict[Phase, Callable[[State, Event], Result]]] = {
    Phase.IDLE: _idle,
    Phase.INSTALLING: _installing,
    Phase.FETCHING: _fetching,
    Phase.ABANDONED: _abandoned,
    Phase.RESTARTING: _restarting,
    Phase.LEAVING: _leaving,
    Phase.CONFIRMING: _confirming,
    Phase.REPORTING: _reporting,
}
