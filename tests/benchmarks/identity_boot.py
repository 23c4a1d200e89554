# SPDX-License-Identifier: MIT
"""How much longer a device takes to start with an identity key.

    python -m tests.benchmarks.identity_boot build/device [--rounds 3]

For a quiet machine. Boots a device in turns without and with a key, for which it makes the PKCS#11
token, and prints the medians of the seconds from power-on until the slot was marked as good, and
until the token was there. A slot that is good two seconds later with a key ends with 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.benchmarks import boot

from bootseal import device as devices
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.machine.session import switched_on
from bootseal.boot.scenario import power_cycle
from bootseal.boot.scenario.model import Action, Do
from bootseal.boot.scenario.workspace import Tpm, Workspace

MOST: Final = 2.0
GOOD: Final = "bootseal-good ActiveEnter"
IDENTITY: Final = "bootseal-identity ActiveEnter"
# The status is reported again once the key is there, which ends the step.
CREATE: Final = "bootseal-identity create; systemctl restart bootseal-status.service\r"


def create(workspace: Workspace) -> None:
    """Make the identity key, in a boot of its own."""
    typed = Action(do=Do.TYPE, when="shell", text=CREATE)
    with switched_on(workspace.machine(), workspace.work / "create.log") as session:
        done = power_cycle.run(session, came_up("root-verified:a", "shell", actions=(typed,)))
        if done.ending is not Ending.UP:
            sys.exit(f"the boot that makes the key ended {done.ending}")
        power_cycle.shut_down(session, login=True)


def measure(directory: Path, work: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Return when units began and ended in each boot, in seconds, without and with a key."""
    device = devices.load(directory)

    def workspace(name: str) -> Workspace:
        (work / name).mkdir()
        return Workspace(device, directory, directory / "keys", work / name)

    without, key = workspace("without"), workspace("with")
    boot.provisioned(without, device.artefact(directory, "disk"))
    key.set_up(without.disk.path, "qcow2", without.tpm, Tpm.OWN)
    create(key)
    found: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    for number in range(rounds):
        for base, boots in zip((without, key), found.values(), strict=True):
            again = workspace(f"{base.work.name}-{number}")
            again.set_up(base.disk.path, "qcow2", base.tpm, Tpm.OWN)
            log = again.work / "log"
            with switched_on(again.machine(), log) as session:
                boot.ask(session, log)
                boots.append(boot.units(session.console))
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(given.directory, Path(name), given.rounds)
    without, key = (statistics.median(each[GOOD] for each in boots) for boots in found.values())
    token = statistics.median(each[IDENTITY] for each in found["with"])
    sys.stdout.write(
        f"good without a key after {without:.1f} s, with one after {key:.1f} s, "
        f"difference {key - without:+.1f} s; the token is there after {token:.1f} s\n"
    )
    return 0 if key - without <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
