# SPDX-License-Identifier: MIT
"""docs/fit.md says what the code does, and the tables of attacks are those of the catalogues."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import attack_tables
from tests.vectors.fit_attacks import CATALOGUE

from bootseal.fit.verify import releases
from bootseal.keys.algorithms import HASHES, KeyKind

TEXT = (Path(__file__).parents[3] / "docs/fit.md").read_text()


@pytest.mark.parametrize("path", attack_tables.DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_made_from_the_catalogues(path: Path) -> None:
    """Otherwise: python -m tests.attack_tables."""
    text = path.read_text()
    assert attack_tables.generated(text) == text


def test_every_attack_is_documented() -> None:
    rows = {line.split("|")[1].strip() for line in TEXT.splitlines() if line.startswith("| ")}
    assert {attack.id for attack in CATALOGUE} <= rows


def test_every_note_about_releases_is_documented() -> None:
    notes = [*releases.BY_FINDING.items(), ("", releases.ACCEPTS_BY_LIST)]
    for finding, note in notes:
        assert finding in TEXT
        assert all(identifier.split(" (")[0] in TEXT for identifier in note.identifiers)


def test_every_algorithm_is_documented() -> None:
    assert all(name in TEXT for name in HASHES)
    assert all(kind in TEXT for kind in KeyKind)
