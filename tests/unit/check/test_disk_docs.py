# SPDX-License-Identifier: MIT
"""The tables of docs/disk.md say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from bootseal.boot.catalogue.scenarios import SCENARIOS

TEXT = (Path(__file__).parents[3] / "docs/disk.md").read_text()


def test_scenarios_in_the_table_are_those_of_the_matrix() -> None:
    table = TEXT.partition("## The scenarios")[2]
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)

    assert len(listed) == len(set(listed))
    assert set(listed) <= {scenario.id for scenario in SCENARIOS}
