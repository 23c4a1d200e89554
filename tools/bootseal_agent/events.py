# SPDX-License-Identifier: MIT
"""The words of the state machine: what it knows, what happens, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from bootseal_agent.document import Asked


class Status(StrEnum):
    """The status of a job on one device, in AWS's words."""

    QUEUED = "QUEUED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    REJECTED = "REJECTED"
    REMOVED = "REMOVED"
    CANCELED = "CANCELED"


ALIVE: Final = frozenset({Status.QUEUED, Status.IN_PROGRESS})
"""The statuses that a device may still change."""


class Phase(StrEnum):
    """Where the agent is with a job."""

    IDLE = "idle"
    INSTALLING = "installing"
    FETCHING = "fetching"
    """The install failed in passing; a fresh URL is asked for."""
    ABANDONED = "abandoned"
    """An install for a job that is over has not ended yet."""
    RESTARTING = "restarting"
    """Installed; the restart is being announced."""
    LEAVING = "leaving"
    """The restart was asked for."""
    CONFIRMING = "confirming"
    """In the new slot, which is not good yet."""
    REPORTING = "reporting"
    """The end of the job is being reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What runs.

    Attributes:
        slot: The running slot, `a` or `b`.
        version: Its release's version.
        compatible: The board, in RAUC's words.
        good: Whether this boot was found good.
        boot: What tells this boot from others.
    """

    slot: str
    version: str
    compatible: str
    good: bool
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is written before a restart, and found after it.

    Attributes:
        job: The job's id.
        number: Its execution number on this device.
        slot: The slot that the release was installed in.
        version: The release's version.
        boot: The boot that installed it.
    """

    job: str
    number: int
    slot: str
    version: str
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A job on this device, as AWS describes it.

    Attributes:
        job: The job's id.
        number: Its execution number on this device.
        version: How often AWS has changed it.
        status: Its status.
        asked: What it asks for; None if the document was refused, or not sent.
        fault: Why the document was refused.
    """

    job: str
    number: int
    version: int
    status: Status
    asked: Asked | None
    fault: str = ""


# What happens.


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has taken the subscriptions."""


@dataclass(frozen=True, slots=True)
class Silent:
    """The time of a `Retry` has come, or a request was not answered."""


@dataclass(frozen=True, slots=True)
class Offered:
    """AWS answered which job is next: none, or this one."""

    execution: Execution | None


@dataclass(frozen=True, slots=True)
class Notified:
    """Another job is the next one; empty if there is none."""

    job: str


@dataclass(frozen=True, slots=True)
class Got:
    """AWS described a job."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Accepted:
    """AWS took a report; the job has this version now."""

    version: int


@dataclass(frozen=True, slots=True)
class Refused:
    """AWS refused a request, with one of its codes."""

    code: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """This much of an install is done, in percent."""

    percent: int
    step: str


@dataclass(frozen=True, slots=True)
class Installed:
    """An install has ended well; of an application, with what came of it.

    A bundle is then in the other slot, and that is the one to start.
    """

    said: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing was installed, or the record of it was not written.

    Of an update, RAUC may also be `ongoing` where nobody waits for it any more.
    """

    reason: str
    passing: bool
    ongoing: bool = False


@dataclass(frozen=True, slots=True)
class Good:
    """The running slot was found good."""


Event: TypeAlias = (
    Connected
    | Silent
    | Offered
    | Notified
    | Got
    | Accepted
    | Refused
    | Progressed
    | Installed
    | Failed
    | Good
)

# What is to be done.


@dataclass(frozen=True, slots=True)
class StartNext:
    """Ask AWS for the next job, and take it."""


@dataclass(frozen=True, slots=True)
class GetJob:
    """Ask AWS for a job, with a fresh URL."""

    job: str


@dataclass(frozen=True, slots=True)
class Report:
    """Tell AWS how a job is, if it still has the version that is known."""

    job: str
    number: int
    version: int
    status: Status
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Install:
    """Have a bundle installed by RAUC, or an application installed or removed."""

    asked: Asked


@dataclass(frozen=True, slots=True)
class Abandon:
    """End the download of an application that nobody wants any more."""


@dataclass(frozen=True, slots=True)
class Save:
    """Keep the record, so that it is there after a power cut."""

    record: Record


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the record, and what was downloaded for the job."""


@dataclass(frozen=True, slots=True)
class MarkBad:
    """Never start the other slot before it is installed again."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the device."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Wait, then go on with `Silent`."""


Action: TypeAlias = (
    StartNext | GetJob | Report | Install | Abandon | Save | Forget | MarkBad | Restart | Retry
)
