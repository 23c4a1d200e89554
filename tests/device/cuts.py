# SPDX-License-Identifier: MIT
"""What long runs of power cuts have in common: their steps, options and results."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bootseal import device as devices
from bootseal.boot.catalogue.bench import station
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario import runner
from bootseal.boot.scenario.model import Action, Do, Expectation, Outcome, Step
from bootseal.cli.boot import printing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bootseal.boot.scenario.model import MatrixResult, Scenario, ScenarioResult
    from bootseal.boot.scenario.runner import Watcher
    from bootseal.boot.scenario.workspace import Workspace

TIMEOUT = 1500.0
CERTIFIED = "^key, certificate [0-9a-f]+, token$"
# What the device answers while the station asks it, until the station says that it is enough.
ASKED = 'while read -r c <&3 && [ "$c" != end ]; do $c >&3; done'
AGAIN = f"exec 3<>{station.PATH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    directory: Path
    cuts: int
    seed: int
    jobs: int
    patience: float


def options(name: str, about: str | None, *, seed: int, parts: bool = False) -> Options:
    """Read the command line of `python -m tests.device.NAME`.

    Args:
        name: Of the program.
        about: What it does.
        seed: The one that it has if none is given.
        parts: Whether it can run several parts at the same time.
    """
    parser = argparse.ArgumentParser(prog=f"python -m tests.device.{name}", description=about)
    parser.add_argument("directory", type=Path, metavar="DIR", help="the built device")
    parser.add_argument("--cuts", type=int, default=10, help="how many (10)")
    parser.add_argument("--seed", type=int, default=seed, help=f"chooses the moments ({seed})")
    parser.set_defaults(jobs=1)
    if parts:
        parser.add_argument("--jobs", type=int, default=1, help="parts at the same time (1)")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies time limits (1)")
    given = parser.parse_args()
    for option in ("cuts", "jobs"):
        if vars(given)[option] < 1:
            parser.error(f"--{option}: expected at least one")
    return Options(**vars(given))


def typed(text: str, call: Callable[[Workspace], None]) -> Action:
    """Type at the next prompt, and do the other end's part."""
    return Action(do=Do.TYPE, when="shell", text=f"{text}\r", call=call)


def step(
    title: str,
    *actions: Action,
    when: str,
    delay: float,
    seen: tuple[str, ...],
    prepare: Callable[[Workspace], None] | None = None,
) -> Step:
    """Do the actions, and cut the power that many seconds after a line of the console.

    Args:
        title: Of the step.
        actions: What comes before.
        when: The line, by its name.
        delay: Seconds from it to the cut.
        seen: Lines that have to come before it.
        prepare: What is done before the device is switched on.
    """
    return Step(
        title=title,
        expect=Expectation(ending=Ending.CUT, console=(*seen, when)),
        actions=(*actions, Action(do=Do.CUT, when=when, delay=delay)),
        prepare=prepare,
        timeout=TIMEOUT,
    )


def run(
    given: Options, scenarios: Sequence[Scenario], watcher: Watcher | None = None
) -> MatrixResult:
    """Run scenarios on copies of a device that `reference build` made."""
    engine = runner.Runner(
        devices.load(given.directory),
        given.directory,
        watcher or printing.Ticker(len(scenarios) + 1),
        keys=given.directory / "keys",
        patience=given.patience,
    )
    result = engine.run(scenarios, jobs=given.jobs)
    printing.show_matrix(result)
    return result


def tell(result: ScenarioResult) -> None:
    """Print how each step of a scenario went."""
    for each in result.steps:
        print(  # noqa: T201 - what is asked for
            f"{result.id}: {each.title}: {each.verdict} in {each.duration:.0f} s {each.reason}"
        )


def code(result: MatrixResult) -> int:
    """Return the exit code: whether everything passed."""
    return 0 if result.verdict is Outcome.PASSED else 1
