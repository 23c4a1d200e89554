# SPDX-License-Identifier: MIT
"""The layer's README.md has every variable that a product, a machine or a recipe may set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

LAYER: Final = Path(__file__).parents[3] / "meta-secureboot"
METADATA: Final = {".bb", ".bbappend", ".bbclass", ".conf", ".inc"}
ROW: Final = re.compile(r"^\| (`BOOTSEAL_[^|]*) \|", re.MULTILINE)
NAME: Final = re.compile(r"BOOTSEAL_[A-Z0-9_]+")
DEFAULT: Final = re.compile(r"^(BOOTSEAL_[A-Z0-9_]+) *\?\??=", re.MULTILINE)


def metadata() -> str:
    files = sorted(path for path in LAYER.rglob("*") if path.suffix in METADATA)
    return "\n".join(path.read_text() for path in files)


def documented() -> set[str]:
    rows = ROW.findall((LAYER / "README.md").read_text())
    return {name for row in rows for name in NAME.findall(row)}


def test_every_variable_with_a_default_is_documented() -> None:
    defaults = set(DEFAULT.findall(metadata()))
    assert "BOOTSEAL_KEYS" in defaults
    assert defaults - documented() == set()


def test_every_documented_variable_is_one_of_the_layer() -> None:
    assert documented() - set(NAME.findall(metadata())) == set()
