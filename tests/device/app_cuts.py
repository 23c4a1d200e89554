# SPDX-License-Identifier: MIT
"""Power cuts at many moments of installations: `python -m tests.device.app_cuts DIR`.

Each round gives the device a job for the next version, and cuts its power at a moment that the seed
chooses. The boot after that has to end the same job as SUCCEEDED, with that version running, before
it is given the next one. The matrix has `app-job-cut`, with three cuts.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bootseal import device as devices
from bootseal.boot.catalogue.bench import app_jobs, jobs, station
from bootseal.boot.catalogue.bench.images import Maker
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario import runner
from bootseal.boot.scenario.model import Action, Do, Expectation, Outcome, Scenario, Step
from bootseal.cli.boot import printing

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

TIMEOUT = 1500.0
CERTIFIED = "^key, certificate [0-9a-f]+, token$"
# What the device answers while the station asks it, before it waits for the installer.
ASKED = 'while read -r c <&3 && [ "$c" != end ]; do $c >&3; done'
AGAIN = f"exec 3<>{station.PATH}"


def version(number: int) -> str:
    """Return the version that a job installs; it is newer than those of the jobs before."""
    return f"1.{number + 1}.0"


def prepared(cuts: int) -> Callable[[Workspace], None]:
    """Start the servers, and put an image for each job where the device finds it."""

    def prepare(workspace: Workspace) -> None:
        jobs.serve(workspace)
        maker = Maker(workspace)
        for number in range(cuts + 1):
            maker.image(version(number), version(number))
            file = maker.path(version(number))
            shutil.copy(file, jobs.desk(workspace).place / file.name)

    return prepare


def given(number: int) -> Callable[[Workspace], None]:
    """Return what sees the job before end well, and gives the device the next one."""
    before = app_jobs.installed(version(number - 1))

    def call(workspace: Workspace) -> None:
        if number == 1:
            station.certify(workspace)
            app_jobs.push(workspace, 0, before)
        with station.opened(workspace) as port:
            try:
                app_jobs.check(workspace, number - 1, before)
                app_jobs.running(port, version(number - 1))
                app_jobs.push(workspace, number, app_jobs.installed(version(number)))
            finally:
                port.send(b"end\n\n")

    return call


def ended(number: int) -> Callable[[Workspace], None]:
    """Return what sees the last job end well."""

    def call(workspace: Workspace) -> None:
        with station.opened(workspace) as port:
            try:
                app_jobs.check(workspace, number, app_jobs.installed(version(number)))
                app_jobs.running(port, version(number))
            finally:
                port.send(b"end\n")

    return call


def cut(number: int, delay: float) -> Step:
    """Give the device a job, and cut its power that many seconds into the installation."""
    start = f"{station.COMMANDS}; systemctl start bootseal-agent.service" if number == 1 else AGAIN
    typed = f"{start}; {ASKED}; {app_jobs.WATCH}\r"
    return Step(
        title=f"cut {delay:.2f} s into the installation of {version(number)}",
        expect=Expectation(ending=Ending.CUT, console=("root-verified:a", "app-installing")),
        actions=(
            Action(do=Do.TYPE, when="shell", text=typed, call=given(number)),
            Action(do=Do.CUT, when="app-installing", delay=delay),
        ),
        timeout=TIMEOUT,
    )


def scenario(cuts: int, seed: int) -> Scenario:
    """Return a scenario with that many cuts."""
    chance = random.Random(seed)  # noqa: S311 - the same in each run
    last = came_up(
        *("root-verified:a", "identity-token:with", "shell"),
        title="resumed",
        identity=CERTIFIED,
        actions=(
            Action(
                do=Do.TYPE,
                when="shell",
                text=f"{AGAIN}; {app_jobs.ANSWER}\r",
                call=ended(cuts),
            ),
        ),
        timeout=TIMEOUT,
    )
    return Scenario(
        id="app-cuts",
        title=f"{cuts} power cuts in installations (seed {seed})",
        group="app",
        prepare=prepared(cuts),
        steps=(
            *(cut(number, chance.uniform(*app_jobs.WORK)) for number in range(1, cuts + 1)),
            last,
        ),
    )


def main() -> int:
    """Run the scenario on a copy of a device that `reference build` made."""
    parser = argparse.ArgumentParser(prog="python -m tests.device.app_cuts", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="the built device")
    parser.add_argument("--cuts", type=int, default=10, help="how many (10)")
    parser.add_argument("--seed", type=int, default=16, help="chooses the moments (16)")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies time limits (1)")
    given_ = parser.parse_args()
    directory = given_.directory
    engine = runner.Runner(
        devices.load(directory),
        directory,
        printing.Ticker(2),
        keys=directory / "keys",
        patience=given_.patience,
    )
    result = engine.run([scenario(given_.cuts, given_.seed)], jobs=1)
    printing.show_matrix(result)
    for each in result.results:
        for step in each.steps:
            print(f"{each.id}: {step.title}: {step.verdict} in {step.duration:.0f} s {step.reason}")  # noqa: T201 - what is asked for
    return 0 if all(each.verdict is Outcome.PASSED for each in result.results) else 1


if __name__ == "__main__":
    sys.exit(main())
