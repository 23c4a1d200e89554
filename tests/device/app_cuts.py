# SPDX-License-Identifier: MIT
"""Power cuts at many moments of installations: `python -m tests.device.app_cuts DIR`.

Each round gives the device a job for the next version, and cuts its power at a moment that the seed
chooses. The boot after that has to end the same job as SUCCEEDED, with that version running, before
it is given the next one. The matrix has `app-job-cut`, with three cuts.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.device import cuts
from tests.device.cuts import AGAIN, ASKED, CERTIFIED, TIMEOUT

from bootseal.boot.catalogue.bench import app_jobs, jobs, station
from bootseal.boot.catalogue.bench.images import Maker
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.scenario.model import Scenario, Step

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

SEED = 16


def version(number: int) -> str:
    """Return the version that a job installs; it is newer than those of the jobs before."""
    return f"1.{number + 1}.0"


def prepared(count: int) -> Callable[[Workspace], None]:
    """Start the servers, and put an image for each job where the device finds it."""

    def prepare(workspace: Workspace) -> None:
        jobs.serve(workspace)
        maker = Maker(workspace)
        for number in range(count + 1):
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
    start = jobs.START if number == 1 else AGAIN
    return cuts.step(
        f"cut {delay:.2f} s into the installation of {version(number)}",
        cuts.typed(f"{start}; {ASKED}; {app_jobs.WATCH}", given(number)),
        when="app-installing",
        delay=delay,
        seen=("root-verified:a",),
    )


def scenario(count: int, seed: int) -> Scenario:
    """Return a scenario with that many cuts."""
    chance = random.Random(seed)  # noqa: S311 - the same in each run
    last = came_up(
        *("root-verified:a", "identity-token:with", "shell"),
        title="resumed",
        identity=CERTIFIED,
        actions=(cuts.typed(f"{AGAIN}; {app_jobs.ANSWER}", ended(count)),),
        timeout=TIMEOUT,
    )
    return Scenario(
        id="app-cuts",
        title=f"{count} power cuts in installations (seed {seed})",
        group="app",
        prepare=prepared(count),
        steps=(
            *(cut(number, chance.uniform(*app_jobs.WORK)) for number in range(1, count + 1)),
            last,
        ),
    )


def main() -> int:
    """Run the scenario on a copy of a device that `reference build` made."""
    asked = cuts.options("app_cuts", __doc__, seed=SEED)
    result = cuts.run(asked, [scenario(asked.cuts, asked.seed)])
    for each in result.results:
        cuts.tell(each)
    return cuts.code(result)


if __name__ == "__main__":
    sys.exit(main())
