# SPDX-License-Identifier: MIT
"""What the fuzzer checks, for genuine FITs, every attack, many mutants, and arbitrary bytes.

What a campaign finds is fixed and then added here, or where the fixed code is tested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz import kept, targets
from tests.fuzz.mutants import mutant
from tests.vectors.fit_attacks import CATALOGUE

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

MUTANTS = 300


@pytest.fixture(scope="module")
def inputs() -> list[bytes]:
    fits = [sample.fit for sample in kept.genuine()]
    attacked = [attack.change(fits[0]) for attack in CATALOGUE]
    mutants = [mutant(fits[seed % len(fits)], seed)[1] for seed in range(MUTANTS)]
    return [*fits, *attacked, *mutants]


@pytest.mark.parametrize("name", ["tree", "model", "verifier"])
def test_target_holds_for_all_inputs(inputs: list[bytes], name: str) -> None:
    target: Target = {
        "tree": targets.check_tree,
        "model": targets.check_model,
        "verifier": targets.check_verifier(kept.genuine()),
    }[name]
    for data in inputs:
        target(data)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=512), st.booleans())
def test_targets_hold_for_arbitrary_bytes(data: bytes, magic: bool) -> None:  # noqa: FBT001
    content = bytes.fromhex("d00dfeed") + data if magic else data
    targets.check_tree(content)
    targets.check_model(content)
