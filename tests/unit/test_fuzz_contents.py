# SPDX-License-Identifier: MIT
"""What fuzzing has been through, again: no file of the corpus may raise anything."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
_spec = importlib.util.spec_from_file_location("fuzz_contents", FUZZ / "fuzz_contents.py")
assert _spec is not None
assert _spec.loader is not None
fuzz = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_corpus_is_survived(name: str) -> None:
    files = sorted((FUZZ / "corpus" / name).iterdir())
    assert files
    for path in files:
        fuzz.TARGETS[name](path.read_bytes())
