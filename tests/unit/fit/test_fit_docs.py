# SPDX-License-Identifier: MIT
"""docs/fit.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.vectors.fit_attacks import CATALOGUE, Attack

from bootseal.fit.verify import releases
from bootseal.keys.algorithms import HASHES, KeyKind

TEXT = (Path(__file__).parents[3] / "docs/fit.md").read_text()
ROWS = {line.split("|")[1].strip(): line for line in TEXT.splitlines() if line.startswith("| ")}


@pytest.mark.parametrize("attack", CATALOGUE, ids=[attack.id for attack in CATALOGUE])
def test_attack_is_documented(attack: Attack) -> None:
    cells = [cell.strip() for cell in ROWS[attack.id].split("|")]
    finding = {"malformed": "format error", "": "accepted: harmless"}
    said = finding.get(attack.finding, f"`fit.{attack.finding}`")
    assert cells[2:5] == [attack.title, "boots" if attack.uboot else "refuses", said]


def test_every_note_about_releases_is_documented() -> None:
    notes = [*releases.BY_FINDING.items(), ("", releases.ACCEPTS_BY_LIST)]
    for finding, note in notes:
        assert finding in TEXT
        assert all(identifier.split(" (")[0] in TEXT for identifier in note.identifiers)


def test_every_algorithm_is_documented() -> None:
    assert all(name in TEXT for name in HASHES)
    assert all(kind in TEXT for kind in KeyKind)
