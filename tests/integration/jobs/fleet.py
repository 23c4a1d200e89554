# SPDX-License-Identifier: MIT
"""Many things, each an agent in a process of its own, and jobs that are staged as a plan says.

Broker and double are those of `site`: a real mosquitto with mutual TLS and per-thing rights, and
behind it a double of AWS IoT Jobs, which is not AWS.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from tests.agent_samples import DOCUMENT
from tests.integration.jobs.device import until
from tests.integration.jobs.thing import Fate, Orders, live

from bootseal.boot.catalogue.bench.dataplane import FINAL
from bootseal.jobs import plan as plans
from bootseal.jobs.plan import Abort, Failure, Pace, Plan, Update

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.process import BaseProcess

    from tests.integration.jobs.site import Site

    from bootseal.boot.catalogue.bench.dataplane import Execution

_ACCOUNT, _REGION = "123456789012", "eu-central-1"
_PATIENCE: Final = 900.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Things that are on.

    Attributes:
        site: Their broker, and the double.
        things: Their names.
        processes: What runs each of them.
        root: Holds a directory of each.
    """

    site: Site
    things: tuple[str, ...]
    processes: tuple[BaseProcess, ...]
    root: Path

    def installs(self, thing: str) -> list[str]:
        """Return the versions that a thing began to install."""
        log = self.root / thing / "installs"
        return log.read_text().split() if log.exists() else []

    def seconds_of_processor(self) -> float:
        """Return what all processes have used so far."""
        used = 0
        for each in self.processes:
            fields = Path(f"/proc/{each.pid}/stat").read_text().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
        return used / _TICKS

    def memory(self, key: str) -> list[int]:
        """Return a line of the kernel's `smaps_rollup` of each process, in KiB."""
        return [
            sum(
                int(line.split()[1])
                for line in Path(f"/proc/{each.pid}/smaps_rollup").read_text().splitlines()
                if line.startswith(key)
            )
            for each in self.processes
        ]


@contextmanager
def on(
    site: Site, root: Path, fates: Mapping[str, Callable[[int], Fate]], count: int, seconds: float
) -> Iterator[Fleet]:
    """Power on so many things, and wait until each has asked for its next job.

    Args:
        site: The broker.
        root: For the directories of the things.
        fates: What becomes of a release, by its version and the number of a thing.
        count: How many.
        seconds: How long an install takes.
    """
    # A clean process with nothing but the agent, of which each thing is a copy.
    starter = multiprocessing.get_context("forkserver")
    starter.set_forkserver_preload(["tests.integration.jobs.thing"])
    things = tuple(f"dev-{number}" for number in range(count))
    processes = []
    for number, name in enumerate(things):
        (root / name).mkdir(parents=True)
        orders = Orders(
            endpoint=site.endpoint(name),
            name=name,
            root=root / name,
            compatible=str(DOCUMENT["compatible"]),
            fates={version: fate(number) for version, fate in fates.items()},
            seconds=seconds,
        )
        processes.append(starter.Process(target=live, args=[orders], daemon=True))
    heard = site.plane.messages
    try:
        for each in processes:
            each.start()
        until(lambda: site.plane.messages >= heard + count, _PATIENCE)
        yield Fleet(site=site, things=things, processes=tuple(processes), root=root)
        gone = [each.name for each in processes if each.exitcode is not None]
        assert not gone, f"ended by themselves: {gone}"
    finally:
        for each in processes:
            if each.pid is not None:
                each.kill()
                each.join()
                each.close()


def plan(job: str, version: str, *, per_minute: int, percent: int, minimum: int) -> Plan:
    """Return a job for the whole fleet, as `bootseal job make` writes it."""
    document = DOCUMENT | {"version": version}
    return plans.checked(
        Plan(
            job=job,
            account=_ACCOUNT,
            region=_REGION,
            targets=(plans.arn("group/fleet", _ACCOUNT, _REGION),),
            role="",
            pace=Pace(
                per_minute=per_minute,
                timeout=60,
                window="",
                window_minutes=0,
                expires=3600,
                aborts=(Abort(failure=Failure.ALL, percent=percent, minimum=minimum),),
            ),
            document=Update(**document),  # type: ignore[arg-type]
        )
    )


def staged(fleet: Fleet, wanted: Plan, minute: float) -> Counter[str]:
    """Give out a job batch by batch until nothing of it is left, and count how it ended.

    The double gets what AWS would get of the plan. It has no clock: the batches are ours.

    Args:
        fleet: The things, all of which are in the plan's group.
        wanted: The job.
        minute: Seconds from one batch to the next; AWS's are 60.
    """
    asked = plans.request(wanted)
    plane, document = fleet.site.plane, json.loads(cast("str", asked["document"]))
    rate = cast("dict[str, int]", asked["jobExecutionsRolloutConfig"])["maximumPerMinute"]
    rules = cast("dict[str, list[dict[str, object]]]", asked["abortConfig"])["criteriaList"]
    batch = plane.create(wanted.job, document, fleet.things, batch=rate, abort=rules)
    made, end = plane.jobs[wanted.job], time.monotonic() + _PATIENCE
    while True:
        fleet.site.push(batch)
        following = time.monotonic() + minute
        while time.monotonic() < following and made.status == "IN_PROGRESS":
            if not made.waiting and _ended(fleet, wanted.job):
                break
            time.sleep(0.05)
        if not made.waiting:
            break
        assert time.monotonic() < end, f"{plane.statuses(wanted.job)} after {_PATIENCE} s"
        batch = plane.roll_out(wanted.job, rate)
    until(lambda: _ended(fleet, wanted.job), _PATIENCE)
    return plane.statuses(wanted.job)


def told(fleet: Fleet, job: str) -> dict[str, Execution]:
    """Return what came of a job on each thing that was told of it."""
    found = ((name, fleet.site.plane.things.get(name, [])) for name in fleet.things)
    return {name: each for name, executions in found for each in executions if each.job == job}


def _ended(fleet: Fleet, job: str) -> bool:
    return set(fleet.site.plane.statuses(job)) <= FINAL
