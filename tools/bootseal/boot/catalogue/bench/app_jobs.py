# SPDX-License-Identifier: MIT
"""Jobs about an application next to a device, and what the device says of it after each."""

from __future__ import annotations

import random
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import device as devices
from bootseal.boot.catalogue.bench import jobs, station
from bootseal.boot.catalogue.bench.images import NAME, Maker
from bootseal.errors import VerificationRefused
from bootseal.jobs.plan import App, Document, Removal

if TYPE_CHECKING:
    from bootseal.boot.catalogue.bench.station import Port
    from bootseal.boot.scenario.workspace import Workspace

ANSWER: Final = (
    'while read -r c <&3 && [ "$c" != end ]; do $c >&3; done; '
    "systemctl restart bootseal-status.service"
)
"""What is typed on the device, with `live` or `finish` at the other end."""
WATCH: Final = (
    "s() { [ $(systemctl is-active bootseal-app-install) = activating ]; }; read -r d <&3; "
    # The job before ends a moment earlier than its unit.
    "while s; do sleep 0.1; done; until s; do sleep 0.2; done; "
    "echo 'bootseal: bench: an application ''is being installed'"
)
"""What is typed on a device whose power is then cut, with `begin` at the other end."""
_SEED: Final = 16
WORK: Final = (0.0, 10.0)
"""Seconds in which the power is cut: copying, verifying and renaming take some, and then the
application is watched for five."""
_CHANCE: Final = random.Random(_SEED)  # noqa: S311 - the same in each run
CUTS: Final = tuple(_CHANCE.uniform(*WORK) for _ in range(3))
"""When the power is cut, in seconds from what the step waits for.
`python -m tests.device.app_cuts` has more."""
_STATUS: Final = b"bootseal-app status\n"
_OLD, _NEW, _NEWER = "1.1.0", "1.2.0", "1.3.0"
_CRASHES: Final = "sleep 1\nexit 1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A job, and what has to come of it.

    Attributes:
        file: The image, without suffix; empty for a removal.
        version: The version that the job says.
        status: How it ends.
        reason: Regular expression of the reason.
        runs: The version that runs afterwards; empty for none.
    """

    file: str = ""
    version: str = ""
    status: str
    reason: str
    runs: str


def installed(version: str) -> Asked:
    """Return a job that installs a version, from the file of that name."""
    said = re.escape(f"version {version} of {NAME} runs")
    return Asked(file=version, version=version, status="SUCCEEDED", reason=said, runs=version)


def _refused(file: str, version: str, reason: str, *, runs: str) -> Asked:
    return Asked(file=file, version=version, status="FAILED", reason=reason, runs=runs)


_LIFE: Final = (
    installed(_OLD),
    _refused(
        "crashes",
        _NEW,
        re.escape(f"version {_NEW} of {NAME} does not stay up: ")
        + r"exit-code after \d+ s of 5; "
        + re.escape(f"version {_OLD} runs again"),
        runs=_OLD,
    ),
    installed(_NEW),
    _refused(
        _OLD,
        _OLD,
        re.escape(f"version {_OLD} of {NAME} is not newer than {_NEW}, which is installed"),
        runs=_NEW,
    ),
    _refused(
        "other-maker",
        _NEWER,
        "no certificate in /etc/verity.d signed the image",
        runs=_NEW,
    ),
    _refused("changed", _NEWER, "a block of the image is not .*|the root of .*", runs=_NEW),
    Asked(status="SUCCEEDED", reason=f"{NAME} is removed", runs=""),
)
"""From the first version to its removal."""


def prepare(workspace: Workspace) -> None:
    """Start the servers, and put the images where the device finds them.

    Raises:
        BootsealError: The servers do not start, or an image cannot be made.
    """
    jobs.serve(workspace)
    maker = Maker(workspace)
    for version in (_OLD, _NEW, _NEWER):
        maker.image(version, version)
    maker.image("other-maker", _NEWER, keys=maker.other_keys())
    maker.image("crashes", _NEW, script=_CRASHES)
    maker.middle("changed", _NEWER)
    for file in (_OLD, _NEW, "other-maker", "crashes", "changed"):
        shutil.copy(maker.path(file), jobs.desk(workspace).place / f"{file}.raw")


def live(workspace: Workspace) -> None:
    """Certify the device, give it one job after the other, and check what comes of each."""
    station.certify(workspace)
    with station.opened(workspace) as port:
        try:
            for number, each in enumerate(_LIFE):
                push(workspace, number, each)
                check(workspace, number, each)
                running(port, each.runs)
        finally:
            port.send(b"end\n")


def begin(workspace: Workspace) -> None:
    """Certify the device, have it install one version, and give it the job for the next.

    Raises:
        VerificationRefused: One of the jobs ended otherwise, or the second one at all.
    """
    station.certify(workspace)
    push(workspace, 0, installed(_OLD))
    check(workspace, 0, installed(_OLD))
    with station.opened(workspace) as port:
        port.send(b"\n")
    push(workspace, 1, installed(_NEW))
    jobs.demand_going_on(workspace, name(1))


def finish(workspace: Workspace) -> None:
    """See how the second of the jobs of `begin` ends."""
    with station.opened(workspace) as port:
        try:
            check(workspace, 1, installed(_NEW))
            running(port, _NEW)
        finally:
            port.send(b"end\n")


def name(number: int) -> str:
    """Return the name of a job."""
    return f"app-{number}"


def push(workspace: Workspace, number: int, asked: Asked) -> None:
    """Give the device a job."""
    desk = jobs.desk(workspace)
    document: Document = Removal(name=NAME)
    if asked.file:
        path = desk.place / f"{asked.file}.raw"
        document = App(
            name=NAME,
            version=asked.version,
            url=jobs.url(path.name),
            sha256=devices.digest_file(path),
            size=path.stat().st_size,
        )
    desk.push(jobs.plan(name(number), document))


def check(workspace: Workspace, number: int, asked: Asked) -> None:
    """Wait for the end of a job, and demand what has to come of it.

    Raises:
        VerificationRefused: It ended otherwise.
        Inconclusive: It did not end in time.
    """
    jobs.demand(jobs.desk(workspace).ended(f"app-{number}"), asked.status, asked.reason)


def running(port: Port, version: str) -> None:
    """Demand what the device says of the application.

    Raises:
        VerificationRefused: It says that something else runs.
    """
    port.send(_STATUS)
    said = port.line().decode(errors="replace").strip()
    wanted = f"{re.escape(version)} [0-9a-f]{{64}} running" if version else "- - not installed"
    if not re.fullmatch(f"{NAME} {wanted}", said):
        raise VerificationRefused(f"the device says {said!r}: expected {NAME} {wanted}")
