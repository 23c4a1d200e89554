# SPDX-License-Identifier: MIT
"""What is typed on a device that takes jobs about releases, and the long run of power cuts."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from tests.device import update_cuts
from tests.device.update_cuts import AFTER, PHASES, Results, Round

from bootseal.boot.catalogue.bench import jobs, station, update_jobs
from bootseal.boot.catalogue.bench.dataplane import DataPlane
from bootseal.boot.machine import console
from bootseal.boot.machine.events import Ending, Sighting
from bootseal.boot.scenario.model import Outcome, StepResult
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.boot.scenario.workspace import Workspace

ROUND = Round(place=1, phase=PHASES[0], delay=1.0)


@pytest.mark.parametrize("text", [update_jobs.WATCH, update_jobs.ONE_ATTEMPT, update_cuts.LOOK])
def test_what_is_typed_is_one_line_that_a_shell_takes_and_is_not_what_it_prints(text: str) -> None:
    assert "\n" not in text
    assert subprocess.run(["dash", "-n", "-c", text], check=False).returncode == 0
    assert "bootseal: bench: the update is at" not in text


def test_watch_says_what_reaches_the_disk(tmp_path: Path) -> None:
    parts, block = tmp_path / "parts", tmp_path / "block"
    names = ("root-b-verity", "boot-b", "bootstate")
    for number, name in enumerate(names):
        (block / f"vda{number}").mkdir(parents=True)
        (block / f"vda{number}/stat").write_text("  8 0 64 3 5 0 40 2 0 4 4\n")
        parts.mkdir(exist_ok=True)
        (parts / name).symlink_to(tmp_path / f"vda{number}")
    (tmp_path / "cmdline").write_text("quiet bootseal.slot=a bootseal.blocks=1\n")
    # Each look sees one write more.
    (tmp_path / "sleep").write_text(
        f"#!/bin/sh\nfor s in {block}/*/stat; do awk '{{ $5++; print }}' $s >$s.new; "
        "mv $s.new $s; done\n"
    )
    (tmp_path / "busctl").write_text("#!/bin/sh\necho '(isi) 40 \"Copying image to root.1\" 1'\n")
    for tool in ("sleep", "busctl"):
        (tmp_path / tool).chmod(0o755)
    text = update_jobs.WATCH.replace("/proc/cmdline", f"{tmp_path}/cmdline")
    text = text.replace("/dev/disk/by-partlabel", f"{parts}").replace(
        "/sys/class/block", f"{block}"
    )
    done = subprocess.run(
        ["dash", "-c", text],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    steps = re.findall(r"^bootseal: bench: the update is at (\w+)$", done.stdout, re.MULTILINE)
    assert steps == ["download", "root", "verity", "boot", "bootstate"]


@pytest.mark.parametrize(
    ("said", "cut", "right"),
    [
        ("version 2.0.0 runs", False, True),
        ("version 2.0.0 runs", True, True),
        ("version 2.0.0 runs already", False, False),
        ("version 2.0.0 runs already", True, True),
        ("version 2x0.0 runs", True, False),
    ],
)
def test_release_runs_already_only_where_the_power_was_cut(
    tmp_path: Path, said: str, *, cut: bool, right: bool
) -> None:
    plane = DataPlane()
    plane.create("job", {}, [station.NAME])
    report = {"status": "SUCCEEDED", "statusDetails": {"reason": said}}
    plane.handle(f"$aws/things/{station.NAME}/jobs/job/update", json.dumps(report).encode())
    desk = jobs.Desk(plane=plane, port=0, place=tmp_path)
    device = cast("Workspace", SimpleNamespace(kept={"cloud": desk}))

    with nullcontext() if right else pytest.raises(VerificationRefused, match="ended SUCCEEDED"):
        update_jobs.demand_success(device, "job", "2.0.0", cut=cut)


def test_rounds_repeat_with_their_seed_and_begin_alike_however_many_there_are() -> None:
    few, many = update_cuts.rounds(7, 15), update_cuts.rounds(100, 15)

    assert [each for part in many for each in part][:7] == [each for part in few for each in part]
    assert [len(part) for part in few] == [5, 2]
    assert update_cuts.rounds(7, 16) != few


def test_each_phase_comes_as_often_as_the_others() -> None:
    made = [each.phase.name for part in update_cuts.rounds(90, 15) for each in part]

    assert {made.count(phase.name) for phase in PHASES} == {10}


def test_releases_alternate_between_the_slots_and_become_newer() -> None:
    part = update_cuts.rounds(5, 15)[0]

    assert "".join(each.slot for each in part) == "babab"
    assert sorted({each.version for each in part}) == [each.version for each in part]


def test_power_cycles_wait_for_lines_that_exist_and_for_each_once() -> None:
    for part in update_cuts.rounds(90, 15):
        steps = update_cuts.steps(part, [])
        assert len(steps) == len(part) + 1
        for step, each in zip(steps, part, strict=False):
            lines = step.expect.console
            assert len(set(lines)) == len(lines)
            assert lines[-1] == step.actions[-1].when == each.phase.when.format(each.slot)
            names = {name.partition(":")[0] for name in (*lines, *(a.when for a in step.actions))}
            assert names <= console.NAMES
        assert steps[-1].expect.status.slot == part[-1].slot


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("a 1.0.0 active data: open TPM2_PT_LOCKOUT_COUNTER: 0x0", True),
        ("a 1.0.0 active data: closed TPM2_PT_LOCKOUT_COUNTER: 0x0", False),
        ("a 1.0.0 active data: open TPM2_PT_LOCKOUT_COUNTER: 0x1", False),
        ("a 1.0.0 inactive data: open TPM2_PT_LOCKOUT_COUNTER: 0x0", False),
        ("1.0.0 active data: open TPM2_PT_LOCKOUT_COUNTER: 0x0", False),
    ],
)
def test_device_is_up_only_if_good_with_its_data_and_no_wrong_guess(
    said: str, *, right: bool
) -> None:
    assert (re.fullmatch(update_cuts.UP, said) is not None) is right


def cut_off(*names: str, behind: float = 0.1) -> StepResult:
    """Return a power cycle with a line a second, cut off some seconds after the last one."""
    seen = tuple(
        Sighting(time=float(n), name=name.partition(":")[0], detail=name.partition(":")[2], line="")
        for n, name in enumerate(names)
    )
    return StepResult(
        title="",
        ending=Ending.CUT,
        verdict=Outcome.PASSED,
        reason="",
        duration=len(names) - 1 + behind,
        resets=0,
        seen=seen,
        findings=(),
        status={},
        phases=(),
        log="",
    )


BEFORE = ("slot-tried:b", "data-opened", "identity-token:with", "restart", "slot-tried:b")
WRITTEN = ("update-step:root", "update-step:verity", "update-step:boot", "update-step:bootstate")
STARTED = ("restart", "slot-tried:b", "kernel", "data-opened", "identity-token:with")


@pytest.mark.parametrize(
    ("lines", "behind", "end", "phase"),
    [
        ((), 5, "IN_PROGRESS", "download"),
        (WRITTEN[:1], 5, "IN_PROGRESS", "root"),
        (WRITTEN[:2], 0.1, "IN_PROGRESS", "verity"),
        (WRITTEN[:3], 0.1, "IN_PROGRESS", "boot"),
        (WRITTEN, 0.1, "IN_PROGRESS", "bootstate"),
        (WRITTEN, 0.6, "IN_PROGRESS", "reboot"),
        ((*WRITTEN, *STARTED[:1]), 0.1, "IN_PROGRESS", "reboot"),
        ((*WRITTEN, *STARTED[:3]), 0.1, "IN_PROGRESS", "first start"),
        ((*WRITTEN, *STARTED[:4]), 0.1, "IN_PROGRESS", "mark-good"),
        ((*WRITTEN, *STARTED), 0.1, "IN_PROGRESS", "report"),
        ((*WRITTEN, *STARTED), 0.1, "SUCCEEDED", AFTER),
    ],
)
def test_cut_falls_into_the_phase_that_the_console_shows(
    lines: tuple[str, ...], behind: float, end: str, phase: str
) -> None:
    step = cut_off(*BEFORE, "update-step:download", *lines, behind=behind)

    assert update_cuts.fell(ROUND, step, end) == phase


def test_results_are_those_of_the_same_device(tmp_path: Path) -> None:
    file = tmp_path / "results"
    Results(file, "aa").add("part-1", [{"phase": "root"}])
    Results(file, "bb").add("part-2", [{"phase": "boot"}])

    assert Results(file, "aa").read() == {"part-1": [{"phase": "root"}]}
    assert Results(tmp_path / "none", "aa").read() == {}
