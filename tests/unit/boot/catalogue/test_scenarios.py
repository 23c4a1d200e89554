# SPDX-License-Identifier: MIT
"""The catalogue is consistent: unique, complete, and every pattern it waits for exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bootseal.boot.catalogue import scenarios
from bootseal.boot.catalogue.power import CUTS, power_cuts
from bootseal.boot.machine import console
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import POWER_ON, STATUS, Do, Scenario

DOCUMENT = Path(__file__).parents[4] / "docs/attacks.md"
EACH = pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda s: s.id)


def test_ids_are_unique_and_well_formed() -> None:
    ids = [scenario.id for scenario in scenarios.SCENARIOS]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in ids)


def test_groups_are_contiguous() -> None:
    groups = [scenario.group for scenario in scenarios.SCENARIOS]

    assert list(dict.fromkeys(groups)) == [
        group for i, group in enumerate(groups) if i == 0 or groups[i - 1] != group
    ]


@EACH
def test_every_pattern_is_in_the_table(scenario: Scenario) -> None:
    for step in scenario.steps:
        expect = step.expect
        wanted = [*expect.console, *expect.forbidden, *expect.allowed, *filter(None, [step.until])]
        triggers = [action.when for action in step.actions]
        names = {name.partition(":")[0] for name in wanted + triggers}
        assert names <= console.NAMES | {POWER_ON, STATUS}


@EACH
def test_every_step_names_its_ending(scenario: Scenario) -> None:
    for step in scenario.steps:
        assert step.expect.ending in {
            Ending.UP,
            Ending.POWERED_OFF,
            Ending.CONSOLE,
            Ending.CUT,
        }
        assert bool(step.until) == (step.expect.ending is Ending.CONSOLE)
        assert (step.expect.ending is Ending.CUT) == any(a.do is Do.CUT for a in step.actions)


@EACH
def test_nothing_of_the_attacker_is_ever_allowed(scenario: Scenario) -> None:
    assert not any(step.expect.allowed for step in scenario.steps)


@EACH
def test_refusals_forbid_that_anything_starts(scenario: Scenario) -> None:
    for step in scenario.steps:
        if step.expect.ending is Ending.POWERED_OFF:
            assert "kernel-handover" in step.expect.forbidden
            assert step.expect.console[-1] in {"all-refused", "no-boot-loader"}


@EACH
def test_every_scenario_is_explained(scenario: Scenario) -> None:
    assert scenario.about
    name = re.sub(r"power-cut-\d+", "power-cut-NN", scenario.id)
    assert f"`{name}`" in DOCUMENT.read_text()


def test_document_has_no_scenario_that_is_not_there() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)`", DOCUMENT.read_text(), flags=re.MULTILINE)

    assert set(rows) <= {scenario.id for scenario in scenarios.SCENARIOS}


def test_power_cuts_of_one_seed_repeat_and_say_their_seed() -> None:
    assert power_cuts(7) == power_cuts(7)
    assert power_cuts(7) != power_cuts(8)
    assert len(power_cuts(7)) == CUTS
    assert all("seed 7" in scenario.title for scenario in power_cuts(7))
