# SPDX-License-Identifier: MIT
"""A device with a boot ROM comes up as built, and starts no boot loader that was tampered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.boot import run
from bootseal.boot.catalogue.firmware import FIRMWARE
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Outcome, Scenario
from bootseal.boot.scenario.runner import Runner
from bootseal.progress import Silent
from bootseal.reference import build

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.boot.scenario.model import ScenarioResult
    from bootseal.device import Device

pytestmark = [
    pytest.mark.boot,
    pytest.mark.timeout(3600),
    *(pytest.mark.tool(name) for name in ("qemu-system-aarch64", "swtpm", "mkimage", "dtc")),
]

REFUSED = tuple(s for s in FIRMWARE if s.steps[0].expect.ending is Ending.POWERED_OFF)


class Quiet:
    """A watcher that says nothing."""

    def started(self, scenario: Scenario) -> None:
        del scenario

    def finished(self, result: ScenarioResult) -> None:
        del result


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rom") / "device"


@pytest.fixture(scope="module")
def device(directory: Path) -> Device:
    return build.build(directory, progress=Silent())


def test_device_with_a_boot_rom_comes_up_as_built(device: Device, directory: Path) -> None:
    result = run.boot(device, directory, timeout=900, progress=Silent()).result

    assert (result.verdict, result.reason) == (Outcome.PASSED, "")
    assert [s.detail for s in result.seen if s.name == "bank"] == ["a"]


def test_boot_loaders_that_were_tampered_with_do_not_start(device: Device, directory: Path) -> None:
    runner = Runner(device, directory, Quiet(), keys=directory / build.KEYS, patience=3)
    results = runner.run(REFUSED, jobs=2).results

    assert len(results) > 30
    assert {r.id: r.reason for r in results if r.verdict is not Outcome.PASSED} == {}
