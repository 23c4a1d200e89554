# SPDX-License-Identifier: MIT
"""What protection costs when a device starts: the full chain, and the same without any, in turns.

    python -m tests.benchmarks boot DEVICE [--rounds 5] [--write]

DEVICE is a reference device with a shell. Each round boots it from power-on until its slot is
marked as good, with its data partition made in an earlier boot, and then what `plain_boot` makes of
it. Times are those at which lines of the serial console arrive; units of systemd are asked for when
they began and ended, once the shell is there. `--write` puts the medians into docs/boot-time.md and
draws docs/boot-time.svg.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks import boot_chart, plain_boot

from bootseal import device as devices
from bootseal.boot.machine.events import Ending
from bootseal.boot.machine.qemu import create_overlay
from bootseal.boot.machine.session import Off, switched_on
from bootseal.boot.scenario import power_cycle
from bootseal.boot.scenario.model import Expectation, Step
from bootseal.boot.scenario.workspace import Tpm, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bootseal.boot.machine.console import Console
    from bootseal.boot.machine.qemu import Machine
    from bootseal.boot.machine.session import Session

LIMIT: Final = 15.0
"""Per cent of the time from power-on to good that protection may take."""
_TIMEOUT: Final = 1800.0
_QUESTION: Final = 'systemctl show bootseal-*|grep -E "^Id=|Monotonic=";cat /proc/uptime\r'
_UPTIME: Final = re.compile(r"^(\d+\.\d\d) \d+\.\d\d$")
_STAMP: Final = re.compile(r"^(InactiveExit|ActiveEnter)TimestampMonotonic=(\d+)$")
# The first console line of each stage, in the protected device and in the plain one.
_MARKS: Final = {
    "u-boot": (r"^U-Boot 20", r"^U-Boot 20"),
    "fit": (r"^bootseal: trying slot a", r"^plain: loading"),
    "kernel": (r"^Starting kernel", r"^Starting kernel"),
    "root": (r"^bootseal: root-a verified", r"^plain: root mounted"),
}


def units(console: Console) -> dict[str, float]:
    """Return when the units began and ended, "UNIT STATE", in seconds since power-on."""
    found: dict[str, float] = {}
    unit = ""
    for line in console.lines:
        if line.text.startswith("Id="):
            unit = line.text.removeprefix("Id=").removesuffix(".service")
        elif match := _STAMP.match(line.text):
            found[f"{unit} {match[1]}"] = int(match[2]) / 1e6
        elif match := _UPTIME.match(line.text):
            found = {name: each + line.time - float(match[1]) for name, each in found.items()}
    return found


def marks(console: Console, *, plain: bool) -> dict[str, float]:
    """Return when each stage began, in seconds since power-on, out of all that was printed."""
    found = {"power-on": 0.0}
    for name, patterns in _MARKS.items():
        wanted = re.compile(patterns[plain])
        found[name] = next(each.time for each in console.lines if wanted.search(each.text))
    stamps = units(console)
    found["data"] = stamps["bootseal-data InactiveExit"]
    found["closing"] = stamps["bootseal-data ActiveEnter"]
    found["closed"] = stamps["bootseal-cap ActiveEnter"]
    found["good"] = stamps["bootseal-good ActiveEnter"]
    return found


def measured(machine: Machine, log: Path, *, plain: bool) -> dict[str, float]:
    """Boot once and return when each stage began."""
    with switched_on(machine, log) as session:
        ask(session, log)
        return marks(session.console, plain=plain)


def ask(session: Session, log: Path) -> None:
    """Ask the system when its units began and ended, and wait for the answer."""
    asked = False
    while not any(_UPTIME.match(line.text) for line in session.console.lines):
        events = session.poll(_TIMEOUT)
        if not events or any(isinstance(each, Off) for each in events):
            sys.exit(f"the device did not come up: {log} holds what it said")
        if not asked and any(each.name == "shell" for each in session.console.seen):
            session.type(_QUESTION)
            asked = True


def provisioned(workspace: Workspace, disk: Path) -> None:
    """Go through the first boot, in which the data partition is made."""
    workspace.set_up(disk, "raw", workspace.work, Tpm.FRESH)
    with switched_on(workspace.machine(), workspace.work / "first.log") as session:
        ended = power_cycle.run(
            session, Step(expect=Expectation(ending=Ending.UP), timeout=_TIMEOUT)
        )
        if ended.ending is not Ending.UP:
            sys.exit(f"the first boot ended {ended.ending}")
        power_cycle.shut_down(session, login=True)


def rounds(directory: Path, work: Path, count: int) -> dict[str, list[dict[str, float]]]:
    """Boot both devices in turns; return the marks of each boot."""
    device = devices.load(directory)
    for name in ("first", "plain"):
        (work / name).mkdir()
    first = Workspace(device, directory, directory / "keys", work / "first")
    provisioned(first, device.artefact(directory, "disk"))
    bare = plain_boot.make(device, directory, work / "plain")
    assert bare.disk is not None
    found: dict[str, list[dict[str, float]]] = {"protected": [], "plain": []}
    for number in range(count):
        again = Workspace(device, directory, directory / "keys", work / f"round-{number}")
        again.work.mkdir()
        again.set_up(first.disk.path, "qcow2", first.tpm, Tpm.OWN)
        overlay = again.work / "plain.qcow2"
        create_overlay(overlay, bare.disk, backing_format="raw")
        other = dataclasses.replace(bare, disk=overlay)
        log = work / f"protected-{number}.log"
        found["protected"].append(measured(again.machine(), log, plain=False))
        log = work / f"plain-{number}.log"
        found["plain"].append(measured(other, log, plain=True))
    return found


def stages(boots: Sequence[Mapping[str, float]]) -> list[float]:
    """Return the median of how long each stage of `boot_chart.STAGES` took, in seconds."""
    return [
        statistics.median(each[stage.end] - each[stage.start] for each in boots)
        for stage in boot_chart.STAGES
    ]


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and end with 1 when protection takes more than its share."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks boot", description=__doc__.split("\n\n", maxsplit=1)[0]
    )
    parser.add_argument("device", type=Path, help="a reference device with a shell")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="update the page and the drawing")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        found = rounds(options.device, Path(name), options.rounds)
    result = boot_chart.Result(
        plain=tuple(round(each, 2) for each in stages(found["plain"])),
        protected=tuple(round(each, 2) for each in stages(found["protected"])),
        rounds=options.rounds,
    )
    sys.stdout.write(boot_chart.table(result))
    if options.write:
        boot_chart.write(result)
    return 0 if result.share < LIMIT else 1
