# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from bootseal.reference import cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOTSEAL_CACHE", str(tmp_path / "cache"))


def _make(directory: Path) -> None:
    (directory / "file").write_text("made")


def test_second_request_finds_the_first_ones_work() -> None:
    first, before = cache.entry("kind", "name", _make)
    second, after = cache.entry("kind", "name", _make)

    assert first == second
    assert (before, after) == (False, True)
    assert (first / "file").read_text() == "made"


def test_new_entry_forgets_the_long_unused_and_keeps_the_used() -> None:
    unused, _ = cache.entry("kind", "unused", _make)
    used, _ = cache.entry("kind", "used", _make)
    other_kind, _ = cache.entry("other", "unused", _make)
    for entry in (unused, used, other_kind):
        os.utime(entry, (0, 0))
    cache.entry("kind", "used", _make)

    cache.entry("kind", "new", _make)

    assert [entry.exists() for entry in (unused, used, other_kind)] == [False, True, True]


def test_interrupted_work_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(directory: Path) -> None:
        _make(directory)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.entry("kind", "name", interrupted)

    assert list((tmp_path / "cache" / "kind").iterdir()) == []


def test_entry_that_is_being_made_is_waited_for() -> None:
    begun, go_on, before = threading.Event(), threading.Event(), []

    def slow(directory: Path) -> None:
        begun.set()
        assert go_on.wait(60)
        _make(directory)

    def request(make: Callable[[Path], None]) -> None:
        before.append(cache.entry("kind", "name", make)[1])

    first = threading.Thread(target=request, args=[slow])
    second = threading.Thread(target=request, args=[_make])
    first.start()
    assert begun.wait(60)
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    second.join(60)
    first.join(60)
    assert sorted(before) == [False, True]


def test_key_depends_on_inputs_and_code(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("1")
    before = cache.key({"a": 1}, str(code))
    code.write_text("2")

    assert len({before, cache.key({"a": 1}, str(code)), cache.key({"a": 2}, str(code))}) == 3
