# SPDX-License-Identifier: MIT
"""What a start that was found good leaves in the slot state, with the real fw_setenv."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.slot_state import FILES, SlotState

SCRIPT = FILES / "mark-good"
SHELLS = [
    pytest.param(command, id=command[0])
    for command in (("dash",), ("bash",), ("busybox", "sh"))
    if shutil.which(command[0])
]

pytestmark = [pytest.mark.tool("fw_printenv"), pytest.mark.tool("fw_setenv")]


def started(
    directory: Path, shell: tuple[str, ...], slot: str, state: tuple[str, str, str]
) -> tuple[SlotState, str]:
    """Start a device from a slot until it is good; return it, and what the script said."""
    found = SlotState(directory, SCRIPT, shell)
    rollback = directory / "rollback"
    rollback.write_text("#!/bin/sh\n")
    rollback.chmod(0o755)
    places = {
        "/usr/lib/bootseal/rollback": str(rollback),
        "/data/bootseal": str(directory / "data"),
        "/run/bootseal": str(directory / "run"),
    }
    found.set_up(slot=slot, places=places)
    found.put(*state)
    code, said, errors = found.run()
    assert (code, errors) == (0, "")
    return found, said


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("slot", "before", "after"),
    [
        ("a", ("A B", "3", "3"), ("A B", "3", "3")),
        ("a", ("A B", "2", "3"), ("A B", "3", "3")),
        ("a", ("A B", "2", "0"), ("A B", "3", "0")),
        ("b", ("B A", "1", "2"), ("B A", "1", "3")),
        # As U-Boot reads it: anything but one value is slot a first, and is written so.
        ("a", ("B A; reset", "2", "3"), ("A B", "3", "3")),
    ],
)
def test_slot_that_is_first_has_its_attempts_back_and_the_other_keeps_its_own(
    tmp_path: Path,
    shell: tuple[str, ...],
    slot: str,
    before: tuple[str, str, str],
    after: tuple[str, str, str],
) -> None:
    found, said = started(tmp_path, shell, slot, before)
    assert found.get() == after
    assert "bad" not in said


@pytest.mark.parametrize("shell", SHELLS)
def test_release_that_was_installed_stays_first_when_the_unit_is_restarted(
    tmp_path: Path, shell: tuple[str, ...]
) -> None:
    found, _ = started(tmp_path, shell, "a", ("A B", "2", "0"))
    found.put("B A", "3", "3")

    code, said, errors = found.run()

    assert (code, errors) == (0, "")
    assert "bad" not in said
    assert found.get() == ("B A", "3", "3")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("slot", "before", "after", "bad"),
    [
        ("a", ("B A", "2", "0"), ("A B", "3", "0"), "B"),
        # U-Boot refused it at the first attempt: two are left, and would be made.
        ("a", ("B A", "2", "2"), ("A B", "3", "0"), "B"),
        ("b", ("A B", "0", "2"), ("B A", "0", "3"), "A"),
        ("b", ("?", "2", "2"), ("B A", "0", "3"), "A"),
    ],
)
def test_slot_that_did_not_start_is_bad_after_a_fallback(
    tmp_path: Path,
    shell: tuple[str, ...],
    slot: str,
    before: tuple[str, str, str],
    after: tuple[str, str, str],
    bad: str,
) -> None:
    found, said = started(tmp_path, shell, slot, before)
    assert found.get() == after
    assert f"slot {bad} did not start: it is marked bad" in said
