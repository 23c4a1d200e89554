# SPDX-License-Identifier: MIT
"""The kept FITs: each has the verdict it had when kept, and breaks nothing that must hold."""

from __future__ import annotations

import json

import pytest
from tests.fuzz import kept, targets

FITS = kept.fits()
OUTCOMES = json.loads(kept.OUTCOMES.read_text())


@pytest.mark.parametrize("name", FITS)
def test_kept_fit_has_the_verdict_it_had(name: str) -> None:
    good = kept.genuine()
    data = FITS[name]

    for check in (targets.check_tree, targets.check_model, targets.check_verifier(good)):
        check(data)

    assert kept.outcome_of(data, good[0].control) == OUTCOMES[name]


def test_corpus_is_small_and_has_every_kind_of_outcome() -> None:
    files = list(kept.DIRECTORY.iterdir())
    assert {path.name for path in files} == {*FITS, "control.dtb", "outcomes.json"}
    assert sum(path.stat().st_size for path in files) < 300 * 1024
    strict = [outcome["strict"] for outcome in OUTCOMES.values()]
    assert OUTCOMES["genuine-embedded"] == {"strict": [], "compat": []}
    assert [kept.MALFORMED] in strict
    assert len({finding for found in strict for finding in found}) > 20
