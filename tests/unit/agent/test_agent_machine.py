# SPDX-License-Identifier: MIT
"""The state machine, walked through every state that it can reach."""

from __future__ import annotations

import dataclasses
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest
from tests import agent_samples as samples
from tests.agent_samples import DEVICE, LATER, execution

from bootseal_agent import machine
from bootseal_agent.document import App, Removal
from bootseal_agent.events import (
    Abandon,
    Accepted,
    Action,
    Connected,
    Event,
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
from bootseal_agent.machine import REVERTED, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal_agent.document import Update

RECORD: Final = Record(job="job-1", number=1, slot="b", version="2.0", boot=samples.BOOT)
NEW: Final = dataclasses.replace(DEVICE, slot="b", version="2.0", boot=LATER)
UNPROVEN: Final = dataclasses.replace(NEW, good=False)
REVERTED_DEVICE: Final = dataclasses.replace(DEVICE, boot=LATER)
OLD: Final = dataclasses.replace(samples.UPDATE, version="0.9")
SAME: Final = dataclasses.replace(samples.UPDATE, version="1.0.0")
FOREIGN: Final = dataclasses.replace(samples.UPDATE, compatible="other")

STARTS: Final = {
    "fresh": (DEVICE, None),
    "fresh, not good": (dataclasses.replace(DEVICE, good=False), None),
    "agent restarted before the device": (DEVICE, RECORD),
    "new slot, good": (NEW, RECORD),
    "new slot, with another release": (dataclasses.replace(NEW, version="1.5"), RECORD),
    "new slot, not good yet": (UNPROVEN, RECORD),
    "old slot again": (REVERTED_DEVICE, RECORD),
    "old slot again, not good yet": (dataclasses.replace(REVERTED_DEVICE, good=False), RECORD),
}
CODES: Final = (
    "VersionMismatch",
    "ResourceNotFound",
    "TerminalStateReached",
    "InvalidStateTransition",
    "RequestThrottled",
    "InternalError",
    "InvalidRequest",
    "NobodyKnowsThis",
)
EVENTS: Final[tuple[Event, ...]] = (
    Connected(),
    Silent(),
    Good(),
    Offered(None),
    Offered(execution()),
    Offered(execution(job="job-2")),
    Offered(execution(asked=None, fault="malformed")),
    *(Offered(execution(asked=each)) for each in (OLD, SAME, FOREIGN)),
    Offered(execution(asked=samples.APP)),
    Offered(execution(asked=samples.REMOVAL)),
    Notified(""),
    Notified("job-1"),
    Notified("job-2"),
    *(Got(execution(status=status)) for status in Status),
    Got(execution(version=3)),
    Got(execution(number=2)),
    Got(execution(asked=None)),
    *(Got(execution(asked=each)) for each in (OLD, SAME, FOREIGN, samples.APP)),
    Accepted(3),
    *(Refused(code) for code in CODES),
    Progressed(5, "step"),
    Progressed(50, "step"),
    Progressed(100, "step"),
    Installed(),
    Installed("version 1.2.0 of hello runs"),
    Failed("bad signature", passing=False),
    Failed("HTTP 403", passing=True),
    Failed("no end", passing=False, ongoing=True),
)


@cache
def reached() -> dict[State, tuple[tuple[Event, State, tuple[Action, ...]], ...]]:
    """Return every state that can be reached, with what each event makes of it."""
    found: dict[State, tuple[tuple[Event, State, tuple[Action, ...]], ...]] = {}
    waiting = deque(machine.begin(*start)[0] for start in STARTS.values())
    while waiting:
        state = waiting.popleft()
        if state in found:
            continue
        found[state] = tuple((event, *machine.step(state, event)) for event in EVENTS)
        waiting += [after for _, after, _ in found[state]]
    return found


def steps() -> list[tuple[State, Event, State, tuple[Action, ...]]]:
    begun = [
        (state, Connected(), state, actions)
        for state, actions in (machine.begin(*start) for start in STARTS.values())
    ]
    return begun + [(state, *each) for state, rows in reached().items() for each in rows]


def test_every_phase_is_reached_and_the_walk_ends() -> None:
    assert {state.phase for state in reached()} == set(Phase)
    assert 20 < len(reached()) < 4000


def final(actions: tuple[Action, ...]) -> list[Report]:
    return [
        each
        for each in actions
        if isinstance(each, Report) and each.status is not Status.IN_PROGRESS
    ]


def test_success_is_reported_from_the_good_slot_that_runs_the_release_only() -> None:
    told = [
        (before, after, report)
        for before, _, after, actions in steps()
        for report in final(actions)
        if report.status is Status.SUCCEEDED
    ]
    assert told
    for _, after, report in told:
        assert after.device.good
        if after.asked in {samples.APP, samples.REMOVAL}:
            # Of what was installed in this boot, in the words of what installed it.
            assert report.details == (("reason", after.verdict[1] if after.verdict else ""),)
            continue
        # Either what a restart led to, or what ran before the job came.
        assert (after.device.slot, report.details) in {
            ("b", (("reason", "version 2.0 runs"),)),
            ("a", (("reason", "version 1.0 runs already"),)),
            ("b", (("reason", "version 2.0 runs already"),)),
        }


def test_failure_after_a_restart_is_reported_as_reverted() -> None:
    state, actions = machine.begin(REVERTED_DEVICE, RECORD)
    assert actions == (MarkBad(), GetJob("job-1"))

    state, actions = machine.step(state, Got(execution(version=7)))

    (report,) = actions
    assert report == Report("job-1", 1, 7, Status.FAILED, (("reason", REVERTED),))
    _, actions = machine.step(state, Accepted(8))
    assert actions == (Forget(), StartNext())


def test_new_slot_with_another_release_than_the_jobs_is_a_failure() -> None:
    """What was served changed after the look at it, or bundle and root differ in their version."""
    other = dataclasses.replace(NEW, version="0.9")
    state, actions = machine.begin(other, RECORD)
    assert actions == (GetJob("job-1"),)

    _, (report,) = machine.step(state, Got(execution(version=7)))

    said = "version 0.9 runs where 2.0 was installed"
    assert report == Report("job-1", 1, 7, Status.FAILED, (("reason", said),))
    same = dataclasses.replace(NEW, version="2.0.0")
    assert machine.begin(same, RECORD)[0].verdict == (Status.SUCCEEDED, "version 2.0.0 runs")


def test_record_that_was_not_written_ends_the_job_and_restarts_nothing() -> None:
    state, _ = machine.step(State(device=DEVICE), Offered(execution()))
    state, _ = machine.step(state, Accepted(3))
    state, actions = machine.step(state, Installed())
    assert isinstance(actions[0], Save)

    state, actions = machine.step(state, Failed("no space", passing=False))
    assert actions == (MarkBad(), GetJob("job-1"))
    _, (report,) = machine.step(state, Got(execution(version=4)))

    assert report == Report("job-1", 1, 4, Status.FAILED, (("reason", "no space"),))


def test_slot_that_may_still_be_written_for_a_failed_job_is_marked_bad() -> None:
    state, _ = machine.step(State(device=DEVICE), Offered(execution()))
    state, _ = machine.step(state, Accepted(3))

    _, actions = machine.step(state, Failed("no end", passing=False, ongoing=True))
    report = Report("job-1", 1, 3, Status.FAILED, (("reason", "no end"),))
    assert actions == (MarkBad(), report)

    # Where nothing was written, the other slot is what the device falls back to.
    _, actions = machine.step(state, Failed("no end", passing=False))
    assert actions == (report,)


ANSWERS: Final[dict[type[Action], tuple[type[Event], ...]]] = {
    StartNext: (Offered, Refused, Silent),
    GetJob: (Got, Refused, Silent),
    Report: (Accepted, Refused, Silent),
    Retry: (Silent,),
}


def awaited(actions: tuple[Action, ...], before: type[Action] | None) -> type[Action] | None:
    """Return what is waited for: of several requests, the answer to the last one counts."""
    return next((type(each) for each in reversed(actions) if type(each) in ANSWERS), before)


def followed(
    state: State, waits: type[Action] | None, *, installs: bool
) -> Iterator[tuple[State, type[Action] | None, bool]]:
    """Give what may follow: answers to what was asked, and RAUC's word while it installs."""
    for event in EVENTS:
        is_answer = isinstance(event, Offered | Got | Accepted | Refused | Silent)
        if is_answer and (waits is None or not isinstance(event, ANSWERS[waits])):
            continue
        if isinstance(event, Installed | Failed | Progressed) and not installs:
            continue
        after, actions = machine.step(state, event)
        begun = any(isinstance(each, Install) for each in actions)
        ended = isinstance(event, Installed | Failed)
        still = awaited(actions, None if is_answer else waits)
        yield after, still, begun or (installs and not ended)


def test_agent_never_waits_for_what_does_not_come() -> None:
    """In the middle of a job there is a request, a time, or an install that goes on."""
    begun = [machine.begin(*start) for start in STARTS.values()]
    waiting = [(state, awaited(actions, None), False) for state, actions in begun]
    found = set()
    while waiting:
        state, waits, installs = waiting.pop()
        if (state, waits, installs) in found:
            continue
        found.add((state, waits, installs))
        if state.phase in {Phase.FETCHING, Phase.RESTARTING, Phase.REPORTING}:
            assert waits is not None
        if state.phase in {Phase.INSTALLING, Phase.ABANDONED}:
            assert installs
        if state.phase is Phase.INSTALLING and not state.version:
            assert waits is not None
        waiting += followed(state, waits, installs=installs)
    assert len(found) > 100


@pytest.mark.parametrize(
    ("update", "status"),
    [(OLD, Status.REJECTED), (FOREIGN, Status.REJECTED)],
    ids=["old", "foreign"],
)
def test_document_that_is_fetched_again_is_held_against_the_device_again(
    update: Update, status: Status
) -> None:
    state, _ = machine.step(State(device=DEVICE), Offered(execution()))
    state, _ = machine.step(state, Failed("HTTP 403", passing=True))
    state, _ = machine.step(state, Silent())

    state, (report,) = machine.step(state, Got(execution(version=5, asked=update)))

    assert isinstance(report, Report)
    assert (state.phase, report.status) == (Phase.REPORTING, status)


def test_restart_follows_a_record_that_is_on_the_disk() -> None:
    for before, _, after, actions in steps():
        if Restart() in actions:
            assert before.phase is Phase.RESTARTING
            assert after.phase is Phase.LEAVING
        if after.phase is Phase.RESTARTING and before.phase is not Phase.RESTARTING:
            assert before.phase is Phase.INSTALLING
            assert isinstance(actions[0], Save)
            assert actions[0].record.slot == {"a": "b", "b": "a"}[before.device.slot]


def test_one_thing_is_installed_at_a_time_and_only_from_a_good_slot() -> None:
    busy = {Phase.INSTALLING, Phase.ABANDONED}
    for before, _, after, actions in steps():
        if any(isinstance(each, Install) for each in actions):
            assert before.phase in {Phase.IDLE, Phase.FETCHING}
            assert after.phase is Phase.INSTALLING
            assert after.device.good
            assert after.asked in {samples.UPDATE, samples.APP, samples.REMOVAL}
        if before.phase in busy and after.phase not in busy:
            # The install has ended, and nothing else leads out of it.
            assert any(
                isinstance(each, Installed | Failed)
                for each, *rest in reached()[before]
                if rest == [after, actions]
            )


def test_a_job_that_is_over_is_installed_no_further() -> None:
    for status in set(Status) - {Status.QUEUED, Status.IN_PROGRESS}:
        installing = State(
            device=DEVICE,
            phase=Phase.INSTALLING,
            job="job-1",
            number=1,
            version=2,
            asked=samples.UPDATE,
            attempts=1,
        )
        state, actions = machine.step(installing, Notified("job-2"))
        assert actions == (GetJob("job-1"),)
        state, actions = machine.step(state, Got(execution(status=status)))
        assert (state.phase, actions) == (Phase.ABANDONED, ())
        for event in (Notified("job-2"), Offered(execution(job="job-2")), Connected()):
            assert machine.step(state, event) == (state, ())
        state, actions = machine.step(state, Installed())
        assert (state, actions) == (State(device=DEVICE), (MarkBad(), StartNext()))


@pytest.mark.parametrize("asked", [samples.APP, samples.REMOVAL], ids=["app", "app-remove"])
def test_job_about_an_application_ends_without_a_restart(asked: App | Removal) -> None:
    state, actions = machine.step(State(device=DEVICE), Offered(execution(asked=asked)))
    assert actions[1:] == (Install(asked),)
    state, _ = machine.step(state, Accepted(3))
    state, (report,) = machine.step(state, Installed("it runs"))
    assert report == Report("job-1", 1, 3, Status.SUCCEEDED, (("reason", "it runs"),))
    assert machine.step(state, Accepted(4)) == (State(device=DEVICE), (Forget(), StartNext()))

    state, _ = machine.step(State(device=DEVICE), Offered(execution(asked=asked)))
    state, _ = machine.step(state, Accepted(3))
    _, (report,) = machine.step(state, Failed("not signed", passing=False))
    assert report == Report("job-1", 1, 3, Status.FAILED, (("reason", "not signed"),))


def test_application_touches_no_slot_and_no_record() -> None:
    for before, _, _, actions in steps():
        if isinstance(before.asked, App | Removal):
            assert not any(isinstance(each, MarkBad | Save | Restart) for each in actions)


def test_download_of_a_job_that_is_over_is_ended() -> None:
    state, _ = machine.step(State(device=DEVICE), Offered(execution(asked=samples.APP)))
    state, actions = machine.step(state, Notified("job-2"))
    assert actions == (GetJob("job-1"),)
    state, actions = machine.step(state, Got(execution(status=Status.CANCELED)))
    assert (state.phase, actions) == (Phase.ABANDONED, (Abandon(),))
    for event in (Failed("the job is over", passing=False), Installed("it runs")):
        assert machine.step(state, event) == (State(device=DEVICE), (Forget(), StartNext()))


def test_a_job_cancelled_before_the_restart_is_dropped_and_after_it_is_not() -> None:
    state = State(device=DEVICE, phase=Phase.RESTARTING, job="job-1", number=1, version=2)
    _, actions = machine.step(state, Refused("TerminalStateReached"))
    assert actions == (MarkBad(), Forget(), StartNext())

    state, actions = machine.step(state, Accepted(3))
    assert actions == (Restart(),)
    for event in EVENTS:
        after, actions = machine.step(state, event)
        assert (after.phase, actions) == (Phase.LEAVING, ())


@pytest.mark.parametrize(
    ("update", "fault", "status", "said"),
    [
        (None, "the document has size 0", Status.REJECTED, "the document has size 0"),
        (FOREIGN, "", Status.REJECTED, "the update is for the board other"),
        (OLD, "", Status.REJECTED, "version 0.9 is older than 1.0"),
        (SAME, "", Status.SUCCEEDED, "version 1.0 runs already"),
    ],
    ids=["malformed", "foreign", "old", "same"],
)
def test_a_job_that_is_not_installed_ends_at_once(
    update: Update | None, fault: str, status: Status, said: str
) -> None:
    offered = Offered(execution(asked=update, fault=fault))

    state, (report,) = machine.step(State(device=DEVICE), offered)

    assert state.phase is Phase.REPORTING
    assert isinstance(report, Report)
    assert (report.job, report.version, report.status) == ("job-1", 2, status)
    assert said in dict(report.details)["reason"]


def test_nothing_is_asked_for_before_the_slot_is_good() -> None:
    state = State(device=dataclasses.replace(DEVICE, good=False))
    for event in (Connected(), Silent(), Notified("job-1")):
        assert machine.step(state, event) == (state, ())
    state, actions = machine.step(state, Good())
    assert actions == (StartNext(),)


def test_expired_url_is_asked_for_again_and_not_for_ever() -> None:
    state, actions = machine.step(State(device=DEVICE), Offered(execution()))
    fresh = dataclasses.replace(samples.UPDATE, url="https://updates.example.com/fresh")
    for _ in range(machine.ATTEMPTS - 1):
        state, actions = machine.step(state, Failed("HTTP 403", passing=True))
        assert (state.phase, actions) == (Phase.FETCHING, (Retry(),))
        state, actions = machine.step(state, Silent())
        assert actions == (GetJob("job-1"),)
        state, actions = machine.step(state, Got(execution(version=5, asked=fresh)))
        assert Install(fresh) in actions
        state, _ = machine.step(state, Accepted(6))
    _, actions = machine.step(state, Failed("HTTP 403", passing=True))
    (report,) = final(actions)
    assert (report.status, report.details) == (Status.FAILED, (("reason", "HTTP 403"),))


def test_progress_is_told_in_steps_and_one_at_a_time() -> None:
    state, _ = machine.step(State(device=DEVICE), Offered(execution()))
    assert machine.step(state, Progressed(50, "copying")) == (state, ())
    state, _ = machine.step(state, Accepted(3))
    assert machine.step(state, Progressed(9, "copying")) == (state, ())
    state, (report,) = machine.step(state, Progressed(50, "copying"))
    assert isinstance(report, Report)
    assert (report.version, report.status) == (3, Status.IN_PROGRESS)
    assert report.details == (("step", "copying"), ("progress", "50"))


def test_version_mismatch_leads_to_a_look_and_then_to_the_same_report() -> None:
    state, _ = machine.begin(NEW, RECORD)
    state, actions = machine.step(state, Got(execution(version=4)))
    assert final(actions)[0].version == 4
    for code in ("VersionMismatch", "InvalidStateTransition"):
        state, actions = machine.step(state, Refused(code))
        assert actions == (Retry(),)
    state, actions = machine.step(state, Silent())
    assert actions == (GetJob("job-1"),)
    state, actions = machine.step(state, Got(execution(version=9)))
    assert final(actions)[0].version == 9


@pytest.mark.parametrize("number", [1, 2], ids=["ended elsewhere", "tried again"])
def test_a_record_of_an_execution_that_is_over_is_forgotten(number: int) -> None:
    status = Status.TIMED_OUT if number == 1 else Status.IN_PROGRESS
    state, _ = machine.begin(NEW, RECORD)

    state, actions = machine.step(state, Got(execution(number=number, status=status)))

    assert (state, actions) == (State(device=NEW), (Forget(), StartNext()))


def test_every_report_is_for_a_version_that_aws_told() -> None:
    for _, _, _, actions in steps():
        for each in actions:
            if isinstance(each, Report):
                assert each.version > 0
                assert each.job


def test_power_cut_at_any_moment_leads_to_a_beginning_that_ends() -> None:
    """From each beginning, an answering AWS and a working RAUC bring the job to an end."""
    for device, record in STARTS.values():
        state, actions = machine.begin(device, record)
        state, proven = machine.step(state, Good())
        actions = actions or proven
        if device.good and state.phase is Phase.IDLE:
            state, actions = machine.step(state, Connected())
        version, ended = 2, False
        for _ in range(20):
            (*_, last) = actions
            ended = ended or bool(final(actions)) or Restart() in actions
            if ended:
                break
            event: Event
            match last:
                case StartNext():
                    event = Offered(execution(version=version))
                case GetJob():
                    event = Got(execution(version=version))
                case Report():
                    version += 1
                    event = Accepted(version)
                case Install():
                    state, _ = machine.step(state, Accepted(3))
                    version, event = 3, Installed()
                case _:
                    pytest.fail(f"{last} leads nowhere")
            state, actions = machine.step(state, event)
        assert ended
