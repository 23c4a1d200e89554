# SPDX-License-Identifier: MIT
"""`disk check` accepts what a device makes of its own disk: booted, escrowed, rotated, wiped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bootseal import device as devices
from bootseal import proc
from bootseal.boot.attacks.data_volume import HEADER_SIZE, PARTITION
from bootseal.boot.catalogue.scenarios import SCENARIOS
from bootseal.boot.scenario.model import Outcome
from bootseal.boot.scenario.runner import FIRST_BOOT, Runner
from bootseal.check import disk as disk_check
from bootseal.check import expected as target
from bootseal.disk import image
from bootseal.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.boot.scenario.model import Scenario, ScenarioResult, Step
    from bootseal.boot.scenario.workspace import Workspace

pytestmark = [pytest.mark.device, pytest.mark.timeout(3600)]

(ROTATE_AND_WIPE,) = (s for s in SCENARIOS if s.id == "rotate-and-wipe")


class Quiet:
    """Is told how the scenarios proceed, and says nothing."""

    def started(self, scenario: Scenario) -> None:
        del scenario

    def finished(self, result: ScenarioResult) -> None:
        del result


class Checked:
    """Has the disk checked after each step, next to what the scenario itself looks at.

    Attributes:
        errors: What `disk check` found, by the title of the step before.
        said: The stage that it named.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.errors: dict[str, list[str]] = {}
        self.said: dict[str, str] = {}

    def after(self, step: Step) -> Step:
        def check(workspace: Workspace) -> None:
            self.check(step.title, workspace)
            if step.title == "rotate":
                # What a wipe leaves until the next start.
                workspace_copy = workspace.disk.read(PARTITION, 0, HEADER_SIZE)
                workspace.disk.write(PARTITION, 0, bytes(HEADER_SIZE))
                self.check("wiped, and not started yet", workspace)
                workspace.disk.write(PARTITION, 0, workspace_copy)
            if step.check is not None:
                step.check(workspace)

        return replace(step, check=check)

    def check(self, title: str, workspace: Workspace) -> None:
        raw = workspace.work / "checked.img"
        args = ["convert", "-f", "qcow2", "-O", "raw", str(workspace.disk.path), str(raw)]
        proc.run("qemu-img", args, timeout=300)
        wanted = replace(target.of_device(self._directory), image=raw)
        with image.opened(raw) as disk:
            verdict = disk_check.check(disk, wanted, Silent())
        self.errors[title] = [f"{f.id}: {f.message}" for f in verdict.errors]
        held = [f.message for f in verdict.findings if f.id.startswith("disk.data-")]
        self.said[title] = " ".join(held)
        raw.unlink()


def test_disk_is_accepted_at_every_stage_of_its_data(own: Path) -> None:
    checked = Checked(own)
    steps = (*FIRST_BOOT.steps, *ROTATE_AND_WIPE.steps)
    stages = replace(
        ROTATE_AND_WIPE,
        id="stages",
        base="shipped",
        steps=tuple(checked.after(replace(step, check=None)) for step in steps),
    )
    runner = Runner(devices.load(own), own, Quiet(), keys=own / "keys", patience=4.0)

    (result,) = runner.run([stages], jobs=1).results

    assert result.verdict is Outcome.PASSED, result.reason
    titles = ("boot", "rotate", "wiped, and not started yet", "wipe")
    assert checked.errors == {title: [] for title in titles}
    for title in ("boot", "rotate", "wipe"):
        assert "with a recovery key that was handed out" in checked.said[title]
    assert "was wiped" in checked.said["wiped, and not started yet"]
