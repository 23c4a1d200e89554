# SPDX-License-Identifier: MIT
"""The matrix on a device made of a tiny firmware: it refuses everything, and never comes up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

import pytest

from bootseal import device as devices
from bootseal.boot import run
from bootseal.boot.machine.events import Ending
from bootseal.boot.machine.qemu import create_overlay
from bootseal.boot.scenario import runner
from bootseal.boot.scenario.model import (
    Action,
    Do,
    Expectation,
    Outcome,
    Scenario,
    ScenarioResult,
    Step,
)
from bootseal.boot.scenario.workspace import Overlay, Tpm, Workspace
from bootseal.device import Device, describe
from bootseal.errors import FormatError, Inconclusive, UsageError, VerificationRefused
from bootseal.progress import Silent
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.boot

REFUSED = Expectation(ending=Ending.POWERED_OFF, console=("slot-refused:a", "all-refused"))


class Notebook:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.results: list[ScenarioResult] = []
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def started(self, scenario: Scenario) -> None:
        del scenario
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)

    def finished(self, result: ScenarioResult) -> None:
        with self._lock:
            self.running -= 1
            self.results.append(result)


def scenario(
    name: str,
    *,
    base: Literal["shipped", "provisioned"] = "shipped",
    tpm: Tpm = Tpm.OWN,
    prepare: Callable[[Workspace], None] | None = None,
    steps: tuple[Step, ...] = (Step(expect=REFUSED, timeout=30),),
) -> Scenario:
    return Scenario(
        id=name, title=name, group="test", base=base, tpm=tpm, prepare=prepare, steps=steps
    )


def verdicts(directory: Path, *scenarios: Scenario, jobs: int = 2) -> dict[str, Outcome]:
    device = devices.load(directory)
    result = runner.Runner(device, directory, Notebook(), keys=directory / "keys").run(
        scenarios, jobs=jobs
    )
    return {r.id: r.verdict for r in result.results}


def test_matrix_attack_that_signs_says_which_option_names_the_keys(
    tiny_device: Path, tmp_path: Path
) -> None:
    def sign(workspace: Workspace) -> None:
        list(workspace.keys.iterdir())

    nowhere = runner.Runner(
        devices.load(tiny_device), tiny_device, Notebook(), keys=tmp_path / "keys"
    )
    (result,) = nowhere.run([scenario("signs", prepare=sign)], jobs=1).results
    assert result.verdict is Outcome.INCONCLUSIVE
    assert "name their directory with --keys" in result.reason


def test_matrix_exact_refusal_passes_and_other_ends_do_not(tiny_device: Path) -> None:
    other = Expectation(ending=Ending.POWERED_OFF, console=("slot-refused:b",))
    up = Expectation(ending=Ending.UP)
    assert verdicts(
        tiny_device,
        scenario("exact"),
        scenario("other-slot", steps=(Step(expect=other, timeout=30),)),
        scenario("never-up", steps=(Step(expect=up, timeout=30),)),
        scenario("fresh-tpm", tpm=Tpm.FRESH),
        scenario("cleared-tpm", tpm=Tpm.CLEARED),
        scenario("other-bank", tpm=Tpm.OTHER_BANK),
        scenario("locked-out-tpm", tpm=Tpm.LOCKED_OUT),
        scenario("full-tpm", tpm=Tpm.FULL),
        scenario("no-tpm", tpm=Tpm.NONE),
    ) == {
        "exact": Outcome.PASSED,
        "other-slot": Outcome.FAILED,
        "never-up": Outcome.FAILED,
        "fresh-tpm": Outcome.PASSED,
        "cleared-tpm": Outcome.PASSED,
        "other-bank": Outcome.PASSED,
        "locked-out-tpm": Outcome.PASSED,
        "full-tpm": Outcome.PASSED,
        "no-tpm": Outcome.PASSED,
    }


def test_matrix_check_after_a_step_decides_when_the_step_itself_passed(tiny_device: Path) -> None:
    asked = []

    def refuse(workspace: Workspace) -> None:
        asked.append(workspace.work.name)
        raise VerificationRefused("not as it must be")

    def give_up(workspace: Workspace) -> None:
        raise Inconclusive(f"nothing to see in {workspace.work.name}")

    up = Expectation(ending=Ending.UP)
    assert verdicts(
        tiny_device,
        scenario("fine", steps=(Step(expect=REFUSED, check=Workspace.record_tpm, timeout=30),)),
        scenario("refused", steps=(Step(expect=REFUSED, check=refuse, timeout=30),)),
        scenario("unclear", steps=(Step(expect=REFUSED, check=give_up, timeout=30),)),
        scenario("failed-before", steps=(Step(expect=up, check=refuse, timeout=30),)),
    ) == {
        "fine": Outcome.PASSED,
        "refused": Outcome.FAILED,
        "unclear": Outcome.INCONCLUSIVE,
        "failed-before": Outcome.FAILED,
    }
    assert asked == ["refused"]


def test_matrix_keeps_logs_and_recordings_of_what_passed_and_nothing_else(
    tiny_device: Path,
) -> None:
    verdicts(tiny_device, scenario("recorded", prepare=Workspace.record_tpm))

    kept = {path.name for path in (tiny_device / "matrix/recorded").iterdir()}
    assert kept == {"step-1.log", "step-1.raw", "step-1.tpm"}


def test_matrix_first_boot_that_fails_makes_what_builds_on_it_inconclusive(
    tiny_device: Path,
) -> None:
    assert verdicts(tiny_device, scenario("later", base="provisioned"), scenario("exact")) == {
        "first-boot": Outcome.FAILED,
        "later": Outcome.INCONCLUSIVE,
        "exact": Outcome.PASSED,
    }


def test_matrix_preparation_that_fails_is_inconclusive(tiny_device: Path) -> None:
    def prepare(workspace: Workspace) -> None:
        workspace.disk.write("no-such-partition", 0, b"x")

    assert verdicts(tiny_device, scenario("broken", prepare=prepare), scenario("exact")) == {
        "broken": Outcome.INCONCLUSIVE,
        "exact": Outcome.PASSED,
    }


def test_matrix_scenarios_have_their_own_disks_and_leave_the_shipped_one_alone(
    tiny_device: Path,
) -> None:
    found = {}

    def scribble(workspace: Workspace) -> None:
        found[workspace.work.name] = workspace.disk.read("root-a", 7, 3)
        workspace.disk.write("root-a", 7, b"abc")

    shipped = (tiny_device / "disk.img").read_bytes()
    later = Step(expect=REFUSED, prepare=scribble, timeout=30)
    verdicts(
        tiny_device,
        scenario("one", prepare=scribble),
        scenario("two", prepare=scribble, steps=(later,)),
    )
    assert found == {"one": bytes(3), "two": b"abc"}
    assert (tiny_device / "disk.img").read_bytes() == shipped


def test_matrix_device_that_says_nothing_in_time_is_inconclusive(hanging_device: Path) -> None:
    too_late = scenario("too-late", steps=(Step(expect=REFUSED, timeout=0.0),))
    assert verdicts(hanging_device, too_late) == {"too-late": Outcome.INCONCLUSIVE}


def test_matrix_power_cut_and_nothing_to_type_at(tiny_device: Path) -> None:
    cut = Expectation(ending=Ending.CUT)
    actions = (Action(do=Do.CUT, delay=0.0),)
    late = (Action(do=Do.TYPE, when="shell", text="x"),)
    assert verdicts(
        tiny_device,
        scenario("cut", steps=(Step(expect=cut, actions=actions), Step(expect=REFUSED))),
        scenario("nothing-to-type-at", steps=(Step(expect=REFUSED, actions=late),)),
    ) == {
        "cut": Outcome.PASSED,
        "nothing-to-type-at": Outcome.INCONCLUSIVE,
    }


def test_matrix_runs_as_many_at_a_time_as_told(tiny_device: Path) -> None:
    watcher = Notebook()
    many = [scenario(f"s{n}") for n in range(4)]
    runner.Runner(devices.load(tiny_device), tiny_device, watcher, keys=tiny_device / "keys").run(
        many, jobs=1
    )
    assert (watcher.most, len(watcher.results)) == (1, 4)


def test_matrix_failed_scenario_keeps_its_disk_and_logs(tiny_device: Path) -> None:
    wrong = Step(expect=Expectation(ending=Ending.UP), timeout=30)
    verdicts(tiny_device, scenario("passes"), scenario("fails", steps=(wrong,)))
    names = {
        p.relative_to(tiny_device / "matrix").as_posix() for p in tiny_device.rglob("matrix/*/*")
    }
    assert {"passes/step-1.log", "fails/step-1.log", "fails/disk.qcow2"} <= names
    assert "passes/disk.qcow2" not in names


def test_matrix_unknown_scenario_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no scenario 'three'"):
        runner.choose([scenario("one")], ["one", "three"])


def test_run_that_is_refused_says_so_and_counts_boots(tiny_device: Path) -> None:
    device = devices.load(tiny_device)
    first = run.boot(device, tiny_device, timeout=30, progress=Silent())
    second = run.boot(device, tiny_device, timeout=30, progress=Silent())
    assert (first.number, second.number) == (1, 2)
    assert second.result.verdict is Outcome.FAILED
    assert (second.result.ending, second.result.log) == (Ending.POWERED_OFF, "logs/boot-002.log")


def test_run_state_of_another_build_is_refused_until_reset(tiny_device: Path) -> None:
    device = devices.load(tiny_device)
    run.machine(device, tiny_device, Silent())
    (tiny_device / "disk.img").write_bytes(bytes(MIB))
    artefacts = {**device.artefacts, "disk": describe(tiny_device, tiny_device / "disk.img")}
    fields = {name: getattr(device, name) for name in device.__dataclass_fields__}
    other = Device(**{**fields, "artefacts": artefacts})
    with pytest.raises(UsageError, match="another build"):
        run.machine(other, tiny_device, Silent())
    run.forget(tiny_device)
    run.machine(other, tiny_device, Silent())


def test_overlay_edits_bytes_across_sectors_and_nothing_else(tmp_path: Path) -> None:
    raw = tmp_path / "raw image.img"
    raw.write_bytes(bytes(range(256)) * 64)
    disk = Overlay(tmp_path / "disk.qcow2")
    create_overlay(disk.path, raw, backing_format="raw")
    with pytest.raises(FormatError, match="the primary GPT"):
        disk.size("boot-a")


def test_overlay_range_outside_the_partition_is_refused(tiny_device: Path) -> None:
    disk = Overlay(tiny_device / "disk.qcow2")
    create_overlay(disk.path, tiny_device / "disk.img", backing_format="raw")
    disk.write("boot-a", MIB - 3, b"end")
    assert disk.read("boot-a", MIB - 5, 5) == b"\0\0end"
    assert disk.size("") == 8 * MIB
    for offset, size in ((MIB - 2, 3), (-1, 1), (0, 0)):
        with pytest.raises(FormatError, match="leave partition 'boot-a'"):
            disk.read("boot-a", offset, size)
