# SPDX-License-Identifier: MIT
"""The power fails at each sector that a script of the device writes of the slot state."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.slot_state import FILES, LAYER, PLACES, SlotState, block, said

from bootseal.formats.uboot import slot_state
from bootseal.units import SECTOR

BACKEND = LAYER / "dynamic-layers/meta-rauc/recipes-core/bootseal-update/files/rauc-backend"
MARK_GOOD = FILES / "mark-good"
SHELLS = [
    pytest.param(command, id=command[0])
    for command in (("dash",), ("busybox", "sh"))
    if shutil.which(command[0])
]
NOISE = random.Random(4).randbytes(SECTOR)  # noqa: S311 - the same in each run
OLD = ("A B", "3", "1")
WHOLE, TORN = block(*OLD), NOISE + block(*OLD)[SECTOR:]
STALE = block("B A", "2", "3")

State: TypeAlias = "tuple[str, str, str]"

pytestmark = [pytest.mark.tool("fw_printenv"), pytest.mark.tool("fw_setenv")]


def device(directory: Path, script: Path, shell: tuple[str, ...]) -> SlotState:
    found = SlotState(directory, script, shell)
    places = {}
    if script == MARK_GOOD:
        places["/usr/lib/bootseal/rollback"] = str(directory / "no-encrypted-data")
    found.set_up(slot="b", places=places)
    return found


def cut(before: bytes, after: bytes, copy: int) -> Iterator[bytes]:
    """Yield what is left when a write ends at each sector of a copy: in front of it, or in it."""
    start = PLACES[copy]
    for place in range(start, start + slot_state.SIZE, SECTOR):
        yield after[:place] + before[place:]
        yield after[:place] + NOISE + before[place + SECTOR :]
    yield after


def read(image: bytes, copies: int = 2) -> State | None:
    """Return the state as U-Boot reads it; None for its defaults."""
    found = [image[place : place + slot_state.SIZE] for place in PLACES[:copies]]
    counts = slot_state.counts(found)
    return None if counts is None else said(found[counts])


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("copies", "order"),
    [
        pytest.param((WHOLE, WHOLE), [1, 0], id="both"),
        pytest.param((WHOLE, TORN), [1, 0], id="second torn"),
        pytest.param((WHOLE, bytes(len(WHOLE))), [1, 0], id="one copy"),
        pytest.param((WHOLE, STALE), [1, 0], id="second older"),
        pytest.param((TORN, WHOLE), [0, 1], id="first torn"),
    ],
)
@pytest.mark.parametrize(
    ("script", "arguments", "new"),
    [
        pytest.param(BACKEND, ("set-primary", "B"), ("B A", "3", "3"), id="set-primary"),
        pytest.param(BACKEND, ("set-state", "B", "bad"), ("A B", "3", "0"), id="set-state"),
        pytest.param(MARK_GOOD, (), ("B A", "0", "3"), id="mark-good"),
    ],
)
def test_state_is_the_old_or_the_new_one_after_each_cut(
    tmp_path: Path,
    shell: tuple[str, ...],
    copies: tuple[bytes, bytes],
    order: list[int],
    script: Path,
    arguments: tuple[str, ...],
    new: State,
) -> None:
    found = device(tmp_path, script, shell)
    found.put_copies(*copies)
    before = found.state.read_bytes()

    code, _, errors = found.run(*arguments)

    assert (code, errors) == (0, "")
    assert found.get() == new
    written = found.written()
    assert [copy for copy, _ in written] == order
    seen: list[State | None] = []
    for copy, after in written:
        seen += [read(image) for image in cut(before, after, copy)]
        before = after
    # Never the defaults.
    assert set(seen) == {OLD, new}
    assert (seen[0], seen[-1]) == (OLD, new)
    assert len(seen) == 2 * (2 * slot_state.SIZE // SECTOR + 1)


@pytest.mark.parametrize("shell", SHELLS)
def test_one_copy_alone_is_lost_by_a_cut(tmp_path: Path, shell: tuple[str, ...]) -> None:
    found = device(tmp_path, BACKEND, shell)
    found.put_copies(WHOLE, WHOLE)
    before = found.state.read_bytes()
    found.run("set-primary", "B")
    (_, second), (copy, after) = found.written()

    images = [*cut(second, after, copy)]

    assert any(read(image, copies=1) is None for image in images)
    # The other way round, the only whole copy would be written over.
    torn_first = [NOISE + image[SECTOR:] for image in cut(before, second, 1)]
    assert any(read(image) is None for image in torn_first)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("copies", "primary"),
    [
        ((block("B A", "3", "3"), WHOLE), "B"),
        ((TORN, block("B A", "3", "3")), "B"),
        ((TORN, block("A B", "0", "3")), "B"),
        ((block("B A", "3", "3"), TORN), "B"),
        # The defaults: slot a first.
        ((TORN, TORN), "A"),
        ((TORN, bytes(len(TORN))), "A"),
    ],
)
def test_device_reads_the_copy_that_counts(
    tmp_path: Path, shell: tuple[str, ...], copies: tuple[bytes, bytes], primary: str
) -> None:
    found = device(tmp_path, BACKEND, shell)
    found.put_copies(*copies)

    assert found.run("get-primary") == (0, f"{primary}\n", "")
    assert found.written() == []


@pytest.mark.parametrize("shell", SHELLS)
def test_good_start_makes_the_copies_equal_and_then_writes_nothing(
    tmp_path: Path, shell: tuple[str, ...]
) -> None:
    found = device(tmp_path, MARK_GOOD, shell)
    good = block("B A", "3", "3")
    found.put_copies(good, STALE)

    assert found.run() == (0, "", "")
    assert found.get() == ("B A", "3", "3")
    assert len(found.written()) == 2

    assert found.run() == (0, "", "")
    assert len(found.written()) == 2


@pytest.mark.parametrize("shell", SHELLS)
def test_partition_without_room_for_a_second_copy_is_used_with_one(
    tmp_path: Path, shell: tuple[str, ...]
) -> None:
    found = device(tmp_path, BACKEND, shell)
    # fw_setenv would make a file longer, but not a partition.
    (found.directory / "fw_env-copy.config").write_text("/dev/full 0x80000 0x4000\n")

    code, printed, errors = found.run("set-primary", "B")

    assert (code, printed) == (0, "")
    assert errors == "<4>bootseal: slot state: one of its two copies could not be written\n"
    assert said(found.copies()[0]) == ("B A", "3", "3")
