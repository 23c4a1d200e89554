# SPDX-License-Identifier: MIT
"""AWS IoT Jobs next to a device: a broker, a double of Jobs behind it, and a server with bundles.

The broker is a real mosquitto, which the device reaches by mutual TLS with its identity key, and
which lets each thing speak on its own topics only. The double speaks on a second listener that only
this computer reaches.
"""

from __future__ import annotations

import json
import os
import re
import select
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from bootseal import proc
from bootseal.boot.catalogue.bench import cloud, servers, station
from bootseal.boot.catalogue.bench.dataplane import FINAL, DataPlane
from bootseal.boot.machine.qemu import Network
from bootseal.errors import Inconclusive, ToolError, VerificationRefused
from bootseal.jobs import plan as plans
from bootseal.jobs.plan import Pace, Plan
from bootseal.keys.server import Authority

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bootseal.boot.catalogue.bench.dataplane import Answer, Execution
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.jobs.plan import Document

START: Final = f"{station.COMMANDS}; systemctl start bootseal-agent.service"
"""What is typed on a device, with `station.certify` at the other end: then it takes jobs."""
_PLACE: Final = "cloud"
# What the policy of `bootseal identity export --format aws` allows, in mosquitto's words.
_RIGHTS: Final = """\
pattern read $aws/things/%u/jobs/#
pattern write $aws/things/%u/jobs/start-next
pattern write $aws/things/%u/jobs/+/get
pattern write $aws/things/%u/jobs/+/update
"""
_ASKED: Final = ("start-next", "+/get", "+/update")
_ACCOUNT, _REGION = "123456789012", "eu-central-1"
# Less than the time that a scenario has, so that the last word on the job is told.
_PATIENCE: Final = 800.0
_BETWEEN: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where jobs are given out.

    Attributes:
        plane: The double.
        port: The broker's listener for this computer.
        place: The folder with the bundles.
        patience: Factor for its time limit, for slow machines.
        faults: Why nobody answers devices any more, if so.
    """

    plane: DataPlane
    port: int
    place: Path
    patience: float = 1.0
    faults: list[str] = field(default_factory=list)

    def say(self, answers: Iterable[Answer]) -> None:
        """Publish what the double says."""
        for topic, body in answers:
            args = ["-h", "127.0.0.1", "-p", str(self.port), "-q", "1", "-t", topic, "-s"]
            proc.run("mosquitto_pub", args, timeout=60, stdin=json.dumps(body).encode())

    def push(self, plan: Plan) -> None:
        """Create the job of a plan, from the parameters that AWS would get of it."""
        asked = plans.request(plan)
        document = json.loads(cast("str", asked["document"]))
        things = [each.rpartition("/")[2] for each in cast("list[str]", asked["targets"])]
        self.say(self.plane.create(plan.job, document, things))

    def ended(self, job: str) -> Execution:
        """Wait for the device's last word on a job.

        Raises:
            Inconclusive: It did not come in time, or nobody answers the device.
        """
        end = time.monotonic() + _PATIENCE * self.patience
        while (found := self.plane.execution(station.NAME, job)).status not in FINAL:
            if self.faults:
                raise Inconclusive(f"the double of AWS IoT Jobs has ended: {self.faults[0]}")
            if time.monotonic() > end:
                raise Inconclusive(
                    f"the device says nothing more of the job: {found.status} {found.details}"
                )
            time.sleep(_BETWEEN)
        return found


def serve(workspace: Workspace) -> None:
    """Start the broker, the double and the server with bundles, and connect the device.

    Raises:
        UsageError: The device knows no authority of servers.
        ToolError: mosquitto is not installed, or does not start.
    """
    station.plug(workspace)
    place = workspace.work / _PLACE
    place.mkdir()
    own = servers.Own.issued(place, Authority.read(workspace.directory))
    rights = place / "rights"
    rights.write_text(_RIGHTS)
    inner = servers.free_port()
    trust = cloud.trust(workspace, place)
    inside = servers.Inside(rights=rights, port=inner)
    broker = workspace.held.enter_context(servers.broker(place, trust, own, inside))
    bundles = workspace.held.enter_context(servers.bundles(place, own))
    desk = Desk(plane=DataPlane(), port=inner, place=place, patience=workspace.patience)
    workspace.held.enter_context(_listening(desk))
    workspace.kept[_PLACE] = desk
    ports = {cloud.MQTT_PORT: broker.port, cloud.HTTPS_PORT: bundles.port}
    workspace.network = Network(forwards=ports)


def desk(workspace: Workspace) -> Desk:
    """Return where jobs are given out in a scenario that `serve` prepared."""
    return cast("Desk", workspace.kept[_PLACE])


def plan(job: str, document: Document) -> Plan:
    """Return a job for the one device, as `bootseal job make` writes it.

    Raises:
        UsageError: AWS or the device would not take it.
    """
    return plans.checked(
        Plan(
            job=job,
            account=_ACCOUNT,
            region=_REGION,
            targets=(plans.arn(f"thing/{station.NAME}", _ACCOUNT, _REGION),),
            role="",
            pace=Pace(
                per_minute=1, timeout=60, window="", window_minutes=0, expires=3600, aborts=()
            ),
            document=document,
        )
    )


def url(file: str) -> str:
    """Return where the device finds a file of the place."""
    return f"https://{servers.BUNDLES}/{file}"


def demand(found: Execution, status: str, reason: str) -> None:
    """Demand how a job ended, and why, which is a regular expression.

    Raises:
        VerificationRefused: It ended otherwise.
    """
    said = str(found.details.get("reason", ""))
    if found.status != status or not re.fullmatch(reason, said):
        raise VerificationRefused(
            f"the job ended {found.status}, {found.details}: expected {status}, {reason!r}"
        )


def demand_going_on(workspace: Workspace, job: str) -> None:
    """Wait for the end of a job that has to come after the power was cut.

    Raises:
        VerificationRefused: It ended.
        Inconclusive: It did not end in time.
    """
    found = desk(workspace).ended(job)
    raise VerificationRefused(
        f"the job ended {found.status}, {found.details}: expected the power cut before that"
    )


@contextmanager
def _listening(desk: Desk) -> Iterator[None]:
    """Have the double answer what things publish; each message is a line of topic and hex.

    What mosquitto_sub says of itself is in the same file.
    """
    heard, over = desk.place / "heard", threading.Event()
    topics = (("-t", f"$aws/things/+/jobs/{each}") for each in _ASKED)
    args = ["-h", "127.0.0.1", "-p", str(desk.port), "-q", "1", "-F", "%t %x"]
    args += [word for pair in topics for word in pair]

    def answer() -> None:
        with heard.open("rb") as lines:
            text, said = b"", b""
            while not over.wait(_BETWEEN):
                has_ended = bool(select.select([ended], [], [], 0)[0])
                text += lines.read()
                *whole, text = text.split(b"\n")
                for line in whole:
                    if not line.startswith(b"$aws/"):
                        said = line
                        continue
                    topic, _, payload = line.decode(errors="replace").partition(" ")
                    desk.say(desk.plane.handle(topic, bytes.fromhex(payload)))
                if has_ended:
                    raise ToolError(f"mosquitto_sub has ended: it said {(said or text)[:200]!r}")

    def noted() -> None:
        try:
            answer()
        except Exception as error:  # noqa: BLE001 - told where a job's end is waited for
            desk.faults.append(f"{error}")

    with ExitStack() as stack:
        running = stack.enter_context(proc.background("mosquitto_sub", args, output=heard))
        ended = os.pidfd_open(running.pid)
        stack.callback(os.close, ended)
        thread = threading.Thread(target=noted, daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        yield
