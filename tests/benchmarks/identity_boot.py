# SPDX-License-Identifier: MIT
"""How much longer a device takes to start with an identity key.

    python -m tests.benchmarks.identity_boot build/device [--rounds 3]

For a quiet machine. Boots a device in turns without and with a key, for which it makes the PKCS#11
token, and prints the median of the seconds from power-on until its status was reported; more than
two seconds between the two end with 1. Replaces DIRECTORY/matrix.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import device as devices
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.scenario.model import Action, Do, Outcome, Scenario
from bootseal.boot.scenario.runner import Runner

if TYPE_CHECKING:
    from bootseal.boot.scenario.model import ScenarioResult, Step

MOST: Final = 2.0
AGAIN: Final = "systemctl restart bootseal-status.service\r"


class Quiet:
    """Says nothing about how the run proceeds."""

    def started(self, scenario: Scenario) -> None:
        """Leave it."""

    def finished(self, result: ScenarioResult) -> None:
        """Leave it."""


def boot(change: str) -> Step:
    """Return a boot that ends with a change for the next one."""
    action = Action(do=Do.TYPE, when="shell", text=f"{change}; {AGAIN}")
    return came_up("root-verified:a", "shell", actions=(action,))


def measure(directory: Path, rounds: int) -> list[float]:
    """Return how long each boot takes, in turns without and with a key, in seconds."""
    scenario = Scenario(
        id="identity-boot",
        title="Boots without and with an identity key",
        group="identity",
        about="A benchmark.",
        steps=(boot("bootseal-identity create"), boot("rm -rf /data/identity")) * rounds,
    )
    runner = Runner(devices.load(directory), directory, Quiet(), keys=directory / "keys")
    result = runner.run([scenario], jobs=1).results[-1]
    assert result.verdict is Outcome.PASSED, result.reason
    # The shell waits for the report.
    return [next(s.time for s in step.seen if s.name == "shell") for step in result.steps]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found = measure(given.directory, given.rounds)
    before, after = statistics.median(found[::2]), statistics.median(found[1::2])
    sys.stdout.write(
        f"without {before:.1f} s, with {after:.1f} s, difference {after - before:+.1f} s\n"
    )
    return 0 if after - before <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
