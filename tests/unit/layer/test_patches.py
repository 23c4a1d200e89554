# SPDX-License-Identifier: MIT
"""Patches of the layer: what they fix is said where OE and the bill of materials look for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LAYER = Path(__file__).parents[3] / "meta-secureboot"
PATCHES = sorted(LAYER.rglob("*.patch"))
CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")


def head(path: Path) -> str:
    return path.read_text().partition("\n---\n")[0]


def test_there_are_patches() -> None:
    assert PATCHES
    assert any(CVE.search(path.name) for path in PATCHES)


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.name)
def test_fixed_vulnerabilities_are_in_the_name_and_on_a_line_of_their_own(path: Path) -> None:
    """OE reads the line; `evidence sbom` has the name alone, which device.json lists."""
    lines = re.findall(r"^CVE: (.*)$", head(path), re.MULTILINE)
    listed = sorted(each for line in lines for each in line.split())
    assert listed == sorted(set(CVE.findall(path.name)))
    assert set(CVE.findall(head(path))) == set(listed)


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.name)
def test_every_patch_says_where_it_is_with_upstream(path: Path) -> None:
    assert re.search(
        r"^Upstream-Status: (Backport|Pending|Submitted|Inappropriate)\b", head(path), re.MULTILINE
    )
