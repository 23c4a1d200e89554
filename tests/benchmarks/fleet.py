# SPDX-License-Identifier: MIT
"""A fleet of simulated things, which takes one staged job to its end and has another one aborted.

    python -m tests.benchmarks fleet [--things 500] [--minute 60] [--seconds 20] [--json]

Each thing is a process with a genuine agent, its own TLS key and the device's own time limits, on a
real mosquitto with mutual TLS and per-thing rights. Simulated are AWS IoT Jobs (a double), RAUC (an
install takes `--seconds`), the boot loader and the restart. A minute of the rollout rate takes
`--minute` seconds. 2.0 does not start on every 50th thing, which its job goes on with; 3.0 on every
third, which aborts its job. Ends with 1 if a job ends otherwise.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.agent_samples import DOCUMENT
from tests.integration.jobs import fleet as fleets
from tests.integration.jobs import site as sites
from tests.integration.jobs.device import until
from tests.integration.jobs.thing import Fate, Orders, live

from bootseal.units import KIB

if TYPE_CHECKING:
    from collections import Counter

    from tests.integration.jobs.fleet import Fleet

SCHEMA: Final = "bootseal.benchmark/1"
PERCENT: Final = 20
_PARTS: Final = 5
_IDLE: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a job took.

    Attributes:
        ended: Things by the status in which the job ended on them.
        untold: Things that were never told of it.
        seconds: From the job's making to its end on the last thing.
        got: Messages of all things.
        sent: Messages to all things.
        got_bytes: Bytes of their topics and payloads.
        sent_bytes: Likewise.
        processor: Seconds of processor time of all agents.
    """

    ended: dict[str, int]
    untold: int
    seconds: float
    got: int
    sent: int
    got_bytes: int
    sent_bytes: int
    processor: float


def job(fleet: Fleet, name: str, version: str, minute: float) -> Figures:
    """Give out a job to a fifth of the fleet a minute, and return what that took."""
    fifth = max(len(fleet.things) // _PARTS, 1)
    plan = fleets.plan(name, version, per_minute=fifth, percent=PERCENT, minimum=fifth)
    before, used, start = asdict(fleet.site.traffic), fleet.seconds_of_processor(), time.monotonic()
    ended: Counter[str] = fleets.staged(fleet, plan, minute)
    seconds = time.monotonic() - start
    # The answer to the last report is under way.
    time.sleep(1)
    after = asdict(fleet.site.traffic)
    return Figures(
        ended=dict(sorted(ended.items())),
        untold=len(fleet.things) - ended.total(),
        seconds=round(seconds, 1),
        processor=round(fleet.seconds_of_processor() - used, 1),
        **{key: after[key] - before[key] for key in before},
    )


def alone(directory: Path, site: sites.Site) -> tuple[int, int]:
    """Return resident and private KiB of one agent in an interpreter that shares nothing."""
    root = directory / "alone"
    root.mkdir()
    orders = Orders(
        endpoint=site.endpoint("alone"),
        name="alone",
        root=root,
        compatible=str(DOCUMENT["compatible"]),
        fates={},
        seconds=0,
    )
    heard = site.plane.messages
    process = multiprocessing.get_context("spawn").Process(target=live, args=[orders])
    process.start()
    try:
        until(lambda: site.plane.messages > heard)
        fleet = fleets.Fleet(site=site, things=("alone",), processes=(process,), root=directory)
        return fleet.memory("Rss:")[0], fleet.memory("Private_")[0]
    finally:
        process.kill()
        process.join()


def faults(good: Figures, bad: Figures, count: int) -> list[str]:
    """Say what did not end as it had to."""
    failed = count // 50
    wrong = []
    if good.ended != ({"FAILED": failed} if failed else {}) | {"SUCCEEDED": count - failed}:
        wrong.append(f"2.0 ended {good.ended}: expected {failed} FAILED")
    if not bad.untold or not bad.ended.get("FAILED"):
        wrong.append(f"3.0 was not aborted: {bad.ended}")
    return wrong


def main(arguments: list[str]) -> int:
    """Measure, print, and end with 1 when a job ended otherwise than it had to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--things", type=int, default=500)
    parser.add_argument("--minute", type=float, default=60, help="seconds from batch to batch")
    parser.add_argument("--seconds", type=float, default=20, help="an install takes")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.things < _PARTS:
        parser.error(f"--things {given.things}: expected {_PARTS} or more")
    fates = {
        "2.0": lambda number: Fate.RUNS if (number + 1) % 50 else Fate.REVERTS,
        "3.0": lambda number: Fate.RUNS if number % 3 else Fate.REVERTS,
    }
    with tempfile.TemporaryDirectory() as name, sites.opened(Path(name)) as site:
        directory = Path(name)
        rss, private = alone(directory, site)
        start = time.monotonic()
        with fleets.on(site, directory / "things", fates, given.things, given.seconds) as fleet:
            connected = round(time.monotonic() - start, 1)
            used, before = fleet.seconds_of_processor(), time.monotonic()
            time.sleep(_IDLE)
            used = (fleet.seconds_of_processor() - used) / (time.monotonic() - before)
            good = job(fleet, "release-2", "2.0", given.minute)
            bad = job(fleet, "release-3", "3.0", given.minute)
            each = fleet.memory("Private_")
        refused = site.plane.refused
    wrong = faults(good, bad, given.things) + refused
    document = {
        "schema": SCHEMA,
        "things": given.things,
        "minute": given.minute,
        "install_seconds": given.seconds,
        "all_connected_seconds": connected,
        "idle_processor_percent": round(used * 100 / given.things, 3),
        "agent_alone_kib": {"resident": rss, "private": private},
        "agent_kib": {"median": int(statistics.median(each)), "most": max(each)},
        "fleet_mib": round(sum(each) / KIB),
        "release-2": asdict(good),
        "release-3": asdict(bad),
        "load": round(os.getloadavg()[0], 1),
        "wrong": wrong,
    }
    sys.stdout.write(json.dumps(document, indent=None if given.json else 1) + "\n")
    return 1 if wrong else 0
