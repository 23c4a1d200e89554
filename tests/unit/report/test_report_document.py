# SPDX-License-Identifier: MIT
"""The matrix document: what is read, what is refused, what untrusted text becomes."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError, UsageError
from bootseal.report import document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = "U-Boot 2025.01\nbootseal: slot a refused\n\x1b[32mVERIFIED\x1b[0m \u202e\r\n"


def step() -> dict[str, object]:
    return {
        "title": "boot",
        "ending": "up",
        "verdict": "failed",
        "reason": "runs from slot a: expected b",
        "duration": 31.25,
        "resets": 1,
        "seen": [
            {"time": 1.5, "name": "slot-refused", "detail": "a", "line": "bootseal: slot a refused"}
        ],
        "findings": [
            {"id": "status.slot", "severity": "error", "where": "slot", "message": "runs from a"}
        ],
        "status": {"slot": "a"},
        "phases": [{"name": "U-Boot", "start": 0.5, "end": 2.0}],
        "log": "logs/one.log",
    }


def sample() -> dict[str, object]:
    return {
        "schema": "bootseal.matrix/2",
        "device": "reference-arm64",
        "profile": "dev",
        "started": "2026-11-22T07:20:00Z",
        "duration": 42.0,
        "versions": {"qemu": "7.2.22"},
        "results": [
            {
                "id": "kernel-flipped",
                "title": "Kernel <b>flipped</b>",
                "group": "fit",
                "about": "",
                "verdict": "failed",
                "expected": "up from slot b",
                "observed": "up from slot a",
                "reason": "runs from slot a: expected b",
                "duration": 31.25,
                "steps": [step()],
            }
        ],
    }


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/one.log").write_text(LOG)
    return tmp_path


def test_parse_valid_document_gives_the_model(logs: Path) -> None:
    matrix = document.parse(sample(), logs)

    assert matrix.verdict == "failed"
    assert matrix.count("failed") == 1
    assert matrix.results[0].steps[0].seen[0].time == 1.5
    assert matrix.results[0].steps[0].log[1] == "bootseal: slot a refused"


def test_parse_log_with_control_and_bidi_characters_shows_escapes(logs: Path) -> None:
    matrix = document.parse(sample(), logs)

    assert matrix.results[0].steps[0].log[2] == r"\x1b[32mVERIFIED\x1b[0m \u202e"


def set_schema(top: dict[str, object]) -> None:
    top["schema"] = "bootseal.matrix/1"


def drop_results(top: dict[str, object]) -> None:
    del top["results"]


def change_step(**values: object) -> Callable[[dict[str, object]], None]:
    def change(top: dict[str, object]) -> None:
        results = top["results"]
        assert isinstance(results, list)
        results[0]["steps"][0].update(values)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(set_schema, "schema 'bootseal.matrix/1'", id="other schema"),
        pytest.param(drop_results, "lacks 'results'", id="no results"),
        pytest.param(change_step(verdict="verified"), "verdict is 'verified'", id="verdict"),
        pytest.param(change_step(duration=float("nan")), "duration is nan", id="duration"),
        pytest.param(change_step(resets=True), "resets is True", id="bool is no number"),
        pytest.param(change_step(seen={}), "seen is {}", id="seen"),
        pytest.param(change_step(title=None), "title is None", id="title"),
        pytest.param(change_step(log="../../etc/passwd"), "lies outside", id="log outside"),
        pytest.param(change_step(log="/etc/passwd"), "lies outside", id="log absolute"),
    ],
)
def test_parse_damaged_document_is_refused(
    logs: Path, change: Callable[[dict[str, object]], None], message: str
) -> None:
    damaged = copy.deepcopy(sample())
    change(damaged)

    with pytest.raises(FormatError, match=message):
        document.parse(damaged, logs)


def test_parse_missing_log_says_so_instead_of_failing(tmp_path: Path) -> None:
    matrix = document.parse(sample(), tmp_path)

    assert "could not be read" in matrix.results[0].steps[0].log[0]


def test_parse_endless_log_keeps_both_ends(logs: Path) -> None:
    (logs / "logs/one.log").write_text("\n".join(map(str, range(20000))))

    lines = document.parse(sample(), logs).results[0].steps[0].log

    assert lines[0] == "0"
    assert lines[-1] == "19999"
    assert len(lines) == 6001
    assert lines[3000] == "(14000 lines left out)"


def test_verdict_of_empty_run_is_inconclusive(logs: Path) -> None:
    empty = sample() | {"results": []}

    assert document.parse(empty, logs).verdict == "inconclusive"


def test_load_returns_what_dump_wrote(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_text(document.dump(sample()))

    assert document.load(path) == sample()


def test_load_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no matrix result"):
        document.load(tmp_path / "absent.json")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps("x")], ids=["broken", "list", "string"])
def test_load_other_content_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "matrix.json"
    path.write_text(text)

    with pytest.raises(FormatError):
        document.load(path)
