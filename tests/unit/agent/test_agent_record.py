# SPDX-License-Identifier: MIT
"""The record: written whole, and read as something that anyone may have written."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import pytest
from tests import agent_samples as samples

from bootseal_agent import files, record
from bootseal_agent.errors import Refusal
from bootseal_agent.events import Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECORD: Final = Record(job="job-1", number=1, slot="b", version="2.0", boot=samples.BOOT)


def test_record_is_kept_replaced_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "record"
    assert record.load(path) is None
    record.save(path, RECORD)
    assert record.load(path) == RECORD
    later = Record(job="job-2", number=3, slot="a", version="3", boot=samples.LATER)
    record.save(path, later)
    assert record.load(path) == later
    record.forget(path)
    record.forget(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_opened_and_nothing_stays_open(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "record"
    make(path)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - numbers

    with pytest.raises(Refusal, match="is not a regular file"):
        files.opened(path)

    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - likewise


@pytest.mark.parametrize("cut", ["fsync", "replace"])
def test_power_cut_leaves_the_old_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    path = tmp_path / "record"
    record.save(path, RECORD)

    def ends(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(os, cut, ends)
        patch.setattr("pathlib.Path.replace", ends)
        with pytest.raises(InterruptedError):
            record.save(path, Record(job="x", number=1, slot="a", version="3", boot=samples.BOOT))
    assert record.load(path) == RECORD
    # And what it left is not in the way.
    record.save(path, RECORD)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "bootseal.agent-record/2"},
        {"job": "a/b"},
        {"number": -1},
        {"slot": "c"},
        {"version": "$(id)"},
        {"boot": "x"},
        {"more": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_hostile_record_counts_as_none(
    tmp_path: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "record"
    record.save(path, RECORD)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    assert record.load(path) is None
    assert "the record is not used" in caplog.text


def test_links_pipes_and_long_files_are_not_read(tmp_path: Path) -> None:
    path, other = tmp_path / "record", tmp_path / "other"
    record.save(other, RECORD)
    path.symlink_to(other)
    assert record.load(path) is None
    path.unlink()
    os.mkfifo(path)
    assert record.load(path) is None
    path.unlink()
    path.write_bytes(other.read_bytes() + b" " * 5000)
    assert record.load(path) is None


def test_what_is_in_the_way_of_a_new_record_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("text")
    (tmp_path / "record.new").symlink_to(victim)

    record.save(tmp_path / "record", RECORD)

    assert victim.read_text() == "text"
    assert record.load(tmp_path / "record") == RECORD
