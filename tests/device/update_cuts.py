# SPDX-License-Identifier: MIT
"""Power cuts over the whole life of an update by a job: `python -m tests.device.update_cuts DIR`.

Each round gives the device a job for the next release, and cuts its power in one of the phases, at
a moment that the seed chooses. The boot after that has to come up good in the release before or in
the new one, with its data open and no wrong guess counted by the TPM; then the same job has to end
as SUCCEEDED, and the new release has to start once more, before the next round.

Rounds are done in parts of five. Each part that passed is a line of DIR/update-cuts-SEED.jsonl, and
is not done again when the same command is given for the same device again. The matrix has
`update-job-cut`, with one cut.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.device import cuts
from tests.device.cuts import AGAIN, ASKED, CERTIFIED, TIMEOUT

from bootseal import device as devices
from bootseal.boot.catalogue.bench import jobs, station, update_jobs
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.scenario.model import Action, Do, Outcome, Scenario, Step
from bootseal.cli.boot import printing
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from bootseal.boot.machine.events import Sighting
    from bootseal.boot.scenario.model import ScenarioResult, StepResult
    from bootseal.boot.scenario.workspace import Workspace

SEED = 15
PART = 5
RESTARTING = 0.5
"""Seconds after the slot state was written, from which on what is cut is the restart."""
LOOK = (
    r"echo $(sed -n 's/.*bootseal\.slot=\([ab]\).*/\1/p' /proc/cmdline) "
    r"""$(sed -n 's/^version = "\(.*\)"/\1/p' /etc/bootseal/agent.toml) """
    "$(systemctl is-active bootseal-good) $(bootseal-data status | head -n 1) "
    "$(tpm2_getcap properties-variable | grep LOCKOUT_COUNTER)"
)
UP = r"([ab]) ([0-9.]+) active data: open TPM2_PT_LOCKOUT_COUNTER: 0x0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of an update's life.

    Attributes:
        name: What is done in it.
        when: The console line with which it begins; `{}` is the slot of the new release.
        window: Seconds after that, in which the power is cut.
        after: A line that has to come before that one.
    """

    name: str
    when: str
    window: tuple[float, float]
    after: str = ""


BEGUN = "update-step:download"
PHASES = (
    Phase(name="download", when=BEGUN, window=(0, 10)),
    Phase(name="root", when="update-step:root", window=(0, 12)),
    Phase(name="verity", when="update-step:verity", window=(0, 0.6)),
    Phase(name="boot", when="update-step:boot", window=(0, 1.5)),
    Phase(name="bootstate", when="update-step:bootstate", window=(0, RESTARTING)),
    Phase(name="reboot", when="update-step:bootstate", window=(RESTARTING, 8)),
    Phase(name="first start", when="slot-tried:{}", window=(0, 20)),
    Phase(name="mark-good", when="data-opened", window=(0, 4), after="slot-tried:{}"),
    Phase(name="report", when="identity-token:with", window=(0, 8), after="slot-tried:{}"),
)
AFTER = "after the report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A job whose update is cut off.

    Attributes:
        place: Which one of its part it is, from 1 on.
        phase: Where it is meant to be cut.
        delay: Seconds after the phase's first line.
    """

    place: int
    phase: Phase
    delay: float

    @property
    def slot(self) -> str:
        """Where the new release is installed."""
        return "ab"[self.place % 2]

    @property
    def version(self) -> str:
        """Of the new release; of the length of the built one's."""
        return f"2.0.{self.place}"

    @property
    def job(self) -> str:
        """Its name, and that of its bundle."""
        return f"release-{self.version.replace('.', '-')}"


def rounds(count: int, seed: int) -> list[list[Round]]:
    """Return the parts of a run: every phase comes once before any comes again."""
    chance = random.Random(seed)  # noqa: S311 - the same in each run
    made: list[Round] = []
    while len(made) < count:
        for phase in chance.sample(PHASES, len(PHASES)):
            place = len(made) % PART + 1
            made.append(Round(place=place, phase=phase, delay=chance.uniform(*phase.window)))
    return [made[start : min(start + PART, count)] for start in range(0, count, PART)]


def given(now: Round, before: Round | None) -> Callable[[Workspace], None]:
    """Return what sees the job before end well, and gives the device the next one."""

    def call(workspace: Workspace) -> None:
        if before is None:
            station.certify(workspace)
        else:
            update_jobs.demand_success(workspace, before.job, before.version, cut=True)
            (jobs.desk(workspace).place / f"{before.job}.raucb").unlink()
        with station.opened(workspace) as port:
            update_jobs.push_whole(workspace, now.job, version=now.version, slot=now.slot)
            port.send(b"end\n")

    return call


def looked(cut: Round, before: Round | None) -> Callable[[Workspace], None]:
    """Return what sees how the device comes up after a cut, and has the new release start again.

    From the release before, it restarts by itself once the update is installed.
    """

    def call(workspace: Workspace) -> None:
        with station.opened(workspace) as port:
            said = port.line().decode(errors="replace").strip()
            found = re.fullmatch(UP, said)
            is_new = found is not None and found[1] == cut.slot
            old = before.version if before else found and found[2]
            if found is None or found[2] != (cut.version if is_new else old):
                raise VerificationRefused(f"after the cut the device says {said!r}")
            if is_new:
                update_jobs.demand_success(workspace, cut.job, cut.version, cut=True)
                port.send(b"systemctl start reboot.target\n")

    return call


def resumed(cut: Round, before: Round | None) -> tuple[Action, ...]:
    """Come up after a cut, and restart into the new release."""
    return (
        cuts.typed(f"{AGAIN}; {LOOK} >&3; {ASKED}", looked(cut, before)),
        Action(do=Do.TYPE, when=f"root-verified:{cut.slot}"),
    )


def steps(part: Sequence[Round], ends: list[str]) -> tuple[Step, ...]:
    """Return the power cycles of a part; `ends` gets how far each job was when it was cut off."""

    def noted(job: str) -> Callable[[Workspace], None]:
        def prepare(workspace: Workspace) -> None:
            ends.append(jobs.desk(workspace).plane.execution(station.NAME, job).status)

        return prepare

    made: list[Step] = []
    earlier: list[Round | None] = [None, None]
    for each in part:
        before, last = earlier[-2:]
        begun = resumed(last, before) if last else ()
        typed = f"{AGAIN if last else jobs.START}; {ASKED}; {update_jobs.WATCH}"
        when = each.phase.when.format(each.slot)
        gate = (each.phase.after.format(each.slot),) if each.phase.after else ()
        step = cuts.step(
            f"{each.delay:.2f} s into {each.phase.name} of {each.version}",
            *begun,
            cuts.typed(typed, given(each, last)),
            *(Action(do=Do.TYPE, when=name) for name in gate),
            when=when,
            delay=each.delay,
            seen=("root-verified", *(name for name in (BEGUN, *gate) if name != when)),
            prepare=noted(last.job) if last else None,
        )
        made.append(step)
        earlier.append(each)
    before, last = earlier[-2:]
    assert last is not None

    def finished(workspace: Workspace) -> None:
        update_jobs.demand_success(workspace, last.job, last.version, cut=True)
        update_jobs.then_status(workspace, last.job)

    waits = f"{AGAIN}; read -r d <&3; systemctl restart bootseal-status.service"
    made.append(
        came_up(
            f"root-verified:{last.slot}",
            slot=last.slot,
            title="resumed",
            identity=CERTIFIED,
            actions=(*resumed(last, before), cuts.typed(waits, finished)),
            prepare=noted(last.job),
            timeout=TIMEOUT,
        )
    )
    return tuple(made)


def fell(cut: Round, step: StepResult, end: str) -> str:
    """Return the phase that a cut fell into, by the last line that tells."""
    marks = {f"update-step:{each.name}": each.name for each in PHASES[:5]}
    marks |= {"restart": "reboot", "data-opened": "mark-good", "identity-token:with": "report"}
    marks[f"slot-tried:{cut.slot}"] = "first start"
    found, at = "", 0.0
    for each in _since_download(step.seen):
        name = next((name for name in marks if each.matches(name)), "")
        if name:
            found, at = marks[name], each.time
    if found == "bootstate" and step.duration - at > RESTARTING:
        return "reboot"
    return AFTER if found == "report" and end == "SUCCEEDED" else found


def _since_download(seen: Sequence[Sighting]) -> Sequence[Sighting]:
    starts = [n for n, each in enumerate(seen) if each.matches(BEGUN)]
    return seen[starts[-1] :] if starts else ()


class Results:
    """The parts that passed, in a file: a line for each.

    Args:
        file: Where they are.
        root: Root hash of the device as it was built; what another one came to does not count.
    """

    def __init__(self, file: Path, root: str) -> None:
        self._file, self._root = file, root

    def add(self, part: str, made: list[dict[str, object]]) -> None:
        """Write down the cuts of a part."""
        with self._file.open("a") as file:
            file.write(json.dumps({"root": self._root, "part": part, "cuts": made}) + "\n")

    def read(self) -> dict[str, list[dict[str, object]]]:
        """Return the cuts of each part."""
        if not self._file.exists():
            return {}
        lines = [json.loads(line) for line in self._file.read_text().splitlines()]
        return {line["part"]: line["cuts"] for line in lines if line["root"] == self._root}


class Watcher(printing.Ticker):
    """Writes down each part that passed.

    Args:
        parts: The rounds by the id of the part's scenario.
        ends: How far each job was when it was cut off, likewise.
        results: Where they are written down.
    """

    def __init__(
        self, parts: dict[str, list[Round]], ends: dict[str, list[str]], results: Results
    ) -> None:
        super().__init__(len(parts) + 1)
        self._parts, self._ends, self._results = parts, ends, results

    def finished(self, result: ScenarioResult) -> None:
        super().finished(result)
        if result.id not in self._parts:
            return
        cuts.tell(result)
        if result.verdict is not Outcome.PASSED:
            return
        told = [
            {
                "meant": each.phase.name,
                "delay": round(each.delay, 2),
                "phase": fell(each, step, end),
                "at": round(step.duration, 1),
            }
            for each, step, end in zip(
                self._parts[result.id], result.steps, self._ends[result.id], strict=False
            )
        ]
        self._results.add(result.id, told)


def main() -> int:
    """Run what was not yet run, and print every cut and how many there were in each phase."""
    asked = cuts.options("update_cuts", __doc__, seed=SEED, parts=True)
    root = devices.load(asked.directory).slots[0].root_hash
    results = Results(asked.directory / f"update-cuts-{asked.seed}.jsonl", root)
    whole = rounds(asked.cuts, asked.seed)
    parts = {f"update-cuts-{number:03}-{len(p)}": p for number, p in enumerate(whole, 1)}
    missing = {name: part for name, part in parts.items() if name not in results.read()}
    ends: dict[str, list[str]] = {name: [] for name in missing}
    code = 0
    if missing:
        scenarios = [
            Scenario(
                id=name,
                title=f"{len(part)} power cuts in updates (seed {asked.seed})",
                group="update",
                prepare=update_jobs.prepare,
                steps=steps(part, ends[name]),
            )
            for name, part in missing.items()
        ]
        code = cuts.code(cuts.run(asked, scenarios, Watcher(missing, ends, results)))
    passed = [each for name, made in results.read().items() if name in parts for each in made]
    for each in passed:
        print(f"{each['delay']} s into {each['meant']}: in {each['phase']}, {each['at']} s")  # noqa: T201 - what is asked for
    counted = Counter(str(each["phase"]) for each in passed)
    names = [*(each.name for each in PHASES), AFTER]
    print(f"{len(passed)} of {asked.cuts} cuts (seed {asked.seed}):")  # noqa: T201 - likewise
    print(", ".join(f"{name} {counted[name]}" for name in names))  # noqa: T201 - likewise
    return code


if __name__ == "__main__":
    sys.exit(main())
