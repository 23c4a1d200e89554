# SPDX-License-Identifier: MIT
"""A small run of the differential fuzzer; docs/fuzzing.md has the figures of a large one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.fuzz.differential import compare, seeds
from tests.fuzz.mutants import SIGNED, mutant

from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from tests.uboot_verdict import Uboot

COUNT = int(os.environ.get("BOOTSEAL_MUTANTS", "500"))


@pytest.mark.timeout(900)
def test_mutants_have_one_verdict(uboot: Uboot) -> None:
    outcome = compare(uboot, seeds(), COUNT, seed=7)
    assert outcome.wrong == []
    assert outcome.mutants == COUNT
    # A run in which nothing was accepted, or no signed bit changed, would prove nothing.
    assert outcome.accepted
    assert outcome.by_kind[SIGNED]


def test_mutant_depends_on_its_seed_alone() -> None:
    fit = seeds()[0].fit
    assert [mutant(fit, seed) for seed in range(40)] == [mutant(fit, seed) for seed in range(40)]


def test_mutants_are_not_all_malformed() -> None:
    """Half of them must reach the code behind the reader of device trees."""
    fit = seeds()[0].fit
    readable = 0
    for seed in range(100):
        try:
            fdt.read(mutant(fit, seed)[1], lenient=True)
        except FormatError:
            continue
        readable += 1
    assert readable > 50
