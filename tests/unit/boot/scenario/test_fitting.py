# SPDX-License-Identifier: MIT
"""Scenarios for devices with a boot ROM are not run on others, nor those for others on them."""

from __future__ import annotations

import pytest

from bootseal.boot.catalogue.scenarios import SCENARIOS
from bootseal.boot.catalogue.steps import up
from bootseal.boot.scenario import runner
from bootseal.boot.scenario.model import Scenario
from bootseal.device import Device, Firmware, Qemu
from bootseal.errors import UsageError

FIRMWARE = Firmware(mrk="0" * 64, counter=1, banks=("fw-a", "fw-b"))
QEMU = Qemu(system="qemu-system-aarch64", machine="virt-7.2", cpu="cortex-a57", cpus=1, memory=1024)


def device(firmware: Firmware | None) -> Device:
    return Device(
        name="d",
        profile="dev",
        login=True,
        epoch=0,
        qemu=QEMU,
        artefacts={},
        partitions=(),
        slots=(),
        keys={},
        firmware=firmware,
    )


def scenario(id_: str, *, rom: bool | None) -> Scenario:
    return Scenario(id=id_, title=id_, group="g", rom=rom, steps=(up(),))


ALL = (scenario("any", rom=None), scenario("with", rom=True), scenario("without", rom=False))


def test_each_kind_of_device_gets_its_own() -> None:
    found = [[s.id for s in runner.fitting(ALL, device(each), [])] for each in (FIRMWARE, None)]

    assert found == [["any", "with"], ["any", "without"]]


@pytest.mark.parametrize(
    ("firmware", "name", "why"),
    [
        (None, "with", "with: for a device with a boot ROM"),
        (FIRMWARE, "without", "without: for a device without a boot ROM"),
    ],
)
def test_scenario_of_the_other_kind_cannot_be_asked_for(
    firmware: Firmware | None, name: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        runner.fitting(ALL, device(firmware), [name])


def test_boot_loaders_are_attacked_only_where_there_is_a_boot_rom() -> None:
    assert all(s.rom for s in SCENARIOS if s.group == "firmware")
    assert not any(s.rom for s in SCENARIOS if s.group != "firmware")
