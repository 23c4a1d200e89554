# SPDX-License-Identifier: MIT
"""The agent: takes events from broker, installers and clock, and does what the machine says.

One thread, one queue of events. What installs is waited for in a thread of its own.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bootseal_agent import machine, record
from bootseal_agent.document import App, Removal, Update
from bootseal_agent.errors import AgentError, InstallError, Refusal
from bootseal_agent.events import (
    Abandon,
    Action,
    Connected,
    Device,
    Event,
    Failed,
    Forget,
    GetJob,
    Good,
    Install,
    Installed,
    MarkBad,
    Phase,
    Progressed,
    Report,
    Restart,
    Retry,
    Save,
    Silent,
    StartNext,
)

if TYPE_CHECKING:
    from bootseal_agent.document import Asked
    from bootseal_agent.events import Record
    from bootseal_agent.wire import Message, Request, Thing

INSTALL: Final = "install"
"""Name of the thread in which something is installed."""
_log: Final = logging.getLogger(__name__)


class Installer(Protocol):
    """What installs bundles."""

    def install(self, update: Update, progress: Callable[[int, str], None]) -> None:
        """Install a bundle in the other slot; see `rauc.Rauc`."""

    def mark_bad(self) -> None:
        """Have the other slot not started again."""


class Applications(Protocol):
    """What installs applications."""

    def install(
        self, asked: App, progress: Callable[[int, str], None], unwanted: Callable[[], bool]
    ) -> str:
        """Install an application, and return what came of it; see `apps.Apps`."""

    def remove(self, asked: Removal) -> str:
        """Remove an application, and return what came of it."""

    def clear(self) -> None:
        """Remove what was downloaded."""


class Link(Protocol):
    """A connection to the broker."""

    def publish(self, message: Message) -> None:
        """Send a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long the agent waits, in seconds.

    Attributes:
        answer: For the answer to a request.
        retry: Before it asks again after a failure.
        good: Between two looks at whether the slot is good.
    """

    answer: float = 60
    retry: float = 60
    good: float = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the agent needs of the device it runs on.

    Attributes:
        device: What runs, as it was when the agent started.
        installer: What installs bundles.
        applications: What installs applications.
        record: Where the record is kept.
        restart: Asks for a restart; returns at once.
        is_good: Tells whether the running slot is good.
        times: How long it waits.
    """

    device: Device
    installer: Installer
    applications: Applications
    record: Path
    restart: Callable[[], None]
    is_good: Callable[[], bool]
    times: Times = Times()


class Agent:
    """One device's agent.

    Args:
        thing: The thing that the device is in AWS IoT.
        host: The device.
    """

    def __init__(self, thing: Thing, host: Host) -> None:
        self._thing = thing
        self._host = host
        # Each with the token of the request that it answers, if any.
        self._events: queue.SimpleQueue[tuple[str, Event]] = queue.SimpleQueue()
        self._link: Link | None = None
        # Of the one request whose answer counts.
        self._token = ""
        self._due: float | None = None
        self._looked = 0.0
        # When to mark the other slot bad again, after a failure.
        self._bad_due: float | None = None
        # Of the install that goes on, whether its job is over.
        self._unwanted = threading.Event()
        self._state, self._first = machine.begin(host.device, record.load(host.record))

    @property
    def phase(self) -> Phase:
        """Where it is with a job."""
        return self._state.phase

    def connected(self) -> None:
        """Take note that the broker listens."""
        self._put(Connected())

    def received(self, topic: str, payload: bytes) -> None:
        """Take a message; one that answers nothing that was asked is dropped later."""
        try:
            self._events.put(self._thing.read(topic, payload))
        except Refusal as refusal:
            _log.warning("dropped: %s", refusal)

    def run(self, link: Link, *, until: Callable[[], bool] = lambda: False) -> None:
        """Work until the restart was asked for.

        Args:
            link: The connection; it is open, or will be.
            until: Tells that it is enough.

        Raises:
            OSError: The record cannot be removed, or the restart not asked for.
        """
        self._link = link
        self._do(self._first)
        while self._state.phase is not Phase.LEAVING and not until():
            self._turn()

    def _turn(self) -> None:
        try:
            answered, event = self._events.get(timeout=self._patience())
        except queue.Empty:
            self._clock()
            return
        if answered:
            # Here and not where it arrived: the token belongs to this thread.
            if answered != self._token:
                return
            self._token, self._due = "", None
        before = self._state
        if isinstance(event, Installed) and isinstance(before.asked, Update):
            # The slot holds something else now; what ends in it has it marked bad again.
            self._bad_due = None
        self._state, actions = machine.step(before, event)
        if self._state.phase is not before.phase:
            _log.info("%s: %s", self._state.phase, self._state.job or "no job")
        self._do(actions)

    def _patience(self) -> float:
        times, now = self._host.times, time.monotonic()
        waits = [1.0] if self._due is None else [min(max(self._due - now, 0.0), 1.0)]
        if not self._state.device.good:
            waits.append(times.good)
        return min(waits)

    def _clock(self) -> None:
        now = time.monotonic()
        if self._due is not None and now >= self._due:
            self._token, self._due = "", None
            self._put(Silent())
        if not self._state.device.good and now >= self._looked + self._host.times.good:
            self._looked = now
            if self._host.is_good():
                self._put(Good())
        busy = self._state.phase in {Phase.INSTALLING, Phase.ABANDONED}
        if self._bad_due is not None and now >= self._bad_due and not busy:
            self._mark_bad()

    def _do(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case StartNext() | GetJob() | Report():
                    self._ask(action)
                case Install() | Abandon():
                    self._begin(action)
                case Save(kept):
                    if not self._save(kept):
                        return
                case Forget():
                    record.forget(self._host.record)
                    self._host.applications.clear()
                case MarkBad():
                    self._mark_bad()
                case Restart():
                    self._host.restart()
                case Retry():
                    self._token, self._due = "", time.monotonic() + self._host.times.retry

    def _begin(self, action: Install | Abandon) -> None:
        """Begin with an install, or have the one that goes on end."""
        if isinstance(action, Abandon):
            self._unwanted.set()
            return
        self._unwanted.clear()
        thread = threading.Thread(target=self._install, args=[action.asked], name=INSTALL)
        thread.daemon = True
        thread.start()

    def _save(self, kept: Record) -> bool:
        try:
            record.save(self._host.record, kept)
        except OSError as error:
            _log.warning("the record is not written: %s", error)
            self._put(Failed(f"the record is not written: {error}", passing=False))
            return False
        return True

    def _ask(self, request: Request) -> None:
        assert self._link is not None  # noqa: S101 - `run` has set it
        self._token = secrets.token_hex(8)
        self._due = time.monotonic() + self._host.times.answer
        self._link.publish(self._thing.request(request, self._token))

    def _install(self, asked: Asked) -> None:
        def progress(percent: int, said: str) -> None:
            self._put(Progressed(percent, said))

        said, applications = "", self._host.applications
        try:
            match asked:
                case Update():
                    self._host.installer.install(asked, progress)
                case App():
                    said = applications.install(asked, progress, self._unwanted.is_set)
                case Removal():
                    said = applications.remove(asked)
        except InstallError as error:
            self._put(Failed(f"{error}", error.passing, error.ongoing))
        except Exception as error:  # noqa: BLE001 - else nobody would hear how the install ended
            _log.exception("the install ended unexpectedly")
            self._put(Failed(f"{type(error).__name__}: {error}", passing=False))
        else:
            self._put(Installed(said))

    def _put(self, event: Event) -> None:
        self._events.put(("", event))

    def _mark_bad(self) -> None:
        try:
            self._host.installer.mark_bad()
        except AgentError as error:
            _log.warning("the other slot could not be marked bad: %s", error)
            self._bad_due = time.monotonic() + self._host.times.retry
        else:
            self._bad_due = None
