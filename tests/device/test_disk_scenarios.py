# SPDX-License-Identifier: MIT
"""Every scenario of the boot matrix that breaks the disk is refused without booting it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootseal.boot.catalogue.scenarios import SCENARIOS

if TYPE_CHECKING:
    from tests.device.conftest import Workbench

    from bootseal.check.expected import Expected

pytestmark = pytest.mark.device

TABLE = (Path(__file__).parents[2] / "docs/disk.md").read_text().partition("## The scenarios")[2]
ROWS = re.findall(r"^\| `([a-z0-9-]+)` \| `([a-z.-]+)` \| `(.+)` \|$", TABLE, re.MULTILINE)
# A disk as shipped has no data partition; tests/unit/check/test_luks_findings.py has these headers.
NEEDS_DATA = {"data-null-cipher", "data-null-slot", "data-replaced"}
# They start servers or make bundles for a device that runs. Nothing is changed on the disk, except
# in update-job-cut, as state-torn does.
NEEDS_BOOT = {
    *("identity-issued", "identity-power-cut"),
    *("update-job", "update-job-cut", "update-job-reverted"),
    *("app-job", "app-job-cut"),
}
ROM = {scenario.id: scenario.rom for scenario in SCENARIOS}
PREPARED = {
    scenario.id: tuple(
        prepare
        for prepare in (scenario.prepare, *(step.prepare for step in scenario.steps))
        if prepare is not None
    )
    for scenario in SCENARIOS
}


def fits(bench: Workbench, scenario: str) -> None:
    with_rom = bench.device.firmware is not None
    if ROM[scenario] not in {None, with_rom}:
        pytest.skip("for the other kind of device, with or without a boot ROM")


def test_device_as_built_is_accepted_without_a_warning(bench: Workbench) -> None:
    assert [f for f in bench.check().findings if f.severity != "info"] == []


@pytest.mark.tool("fsck.erofs")
def test_device_is_accepted_with_what_is_inside_and_says_its_policy_key(bench: Workbench) -> None:
    verdict = bench.check(lambda target: replace(target, policy_key=None), inside=True)

    ids = {f.id for f in verdict.findings}
    assert verdict.errors == ()
    assert "disk.policy-key" in ids
    assert "disk.policy-unchecked" not in ids
    assert verdict.chain.approved == {"a", "b"}


@pytest.mark.parametrize("role", ["bios", "uboot-config"])
def test_boot_loader_of_another_build_is_refused(bench: Workbench, role: str) -> None:
    if role not in bench.device.artefacts:
        pytest.skip("this build kept no .config of U-Boot")

    def described_otherwise(target: Expected) -> Expected:
        assert target.device is not None
        other = replace(target.device.artefacts[role], sha256="0" * 64)
        artefacts = {**target.device.artefacts, role: other}
        return replace(target, device=replace(target.device, artefacts=artefacts))

    assert [f.id for f in bench.check(described_otherwise).errors] == ["disk.artefact"]


@pytest.mark.parametrize(("scenario", "finding", "place"), ROWS, ids=[row[0] for row in ROWS])
def test_scenario_is_refused_at_its_place(
    bench: Workbench, scenario: str, finding: str, place: str
) -> None:
    fits(bench, scenario)
    if finding == "disk.firmware-u-boot" and bench.device.firmware is None:
        pytest.skip("without a boot ROM, U-Boot is not on the disk")
    for prepare in PREPARED[scenario]:
        prepare(bench)

    assert bench.disk.written
    assert (finding, place) in {(f.id, f.where) for f in bench.check().errors}


@pytest.mark.parametrize(
    "scenario",
    sorted(
        {name for name, todo in PREPARED.items() if todo}
        - {row[0] for row in ROWS}
        - NEEDS_DATA
        - NEEDS_BOOT
    ),
)
def test_scenario_that_is_not_in_the_table_leaves_a_disk_that_is_accepted(
    bench: Workbench, scenario: str
) -> None:
    fits(bench, scenario)
    for prepare in PREPARED[scenario]:
        prepare(bench)

    assert bench.check().errors == ()
