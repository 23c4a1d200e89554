# SPDX-License-Identifier: MIT
"""Serial logs in reports: what untrusted text becomes, and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError
from bootseal.report import serial_log

if TYPE_CHECKING:
    from pathlib import Path

LOG = "U-Boot 2025.01\nbootseal: slot a refused\n\x1b[32mVERIFIED\x1b[0m \u202e\r\n"


def test_log_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text(LOG)

    assert serial_log.lines("one.log", tmp_path)[1] == "bootseal: slot a refused"


def test_log_with_control_and_bidi_characters_shows_escapes(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text(LOG)

    assert serial_log.lines("one.log", tmp_path)[2] == r"\x1b[32mVERIFIED\x1b[0m \u202e"


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd"], ids=["outside", "absolute"])
def test_log_outside_of_the_directory_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(FormatError, match="is outside"):
        serial_log.lines(path, tmp_path)


def test_missing_log_says_so_instead_of_failing(tmp_path: Path) -> None:
    assert "could not be read" in serial_log.lines("logs/one.log", tmp_path)[0]


def test_endless_log_keeps_both_ends(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("\n".join(map(str, range(20000))))

    lines = serial_log.lines("one.log", tmp_path)

    assert lines[0] == "0"
    assert lines[-1] == "19999"
    assert len(lines) == 6001
    assert lines[3000] == "(14000 lines left out)"


def test_no_log_has_no_lines(tmp_path: Path) -> None:
    assert serial_log.lines("", tmp_path) == ()
