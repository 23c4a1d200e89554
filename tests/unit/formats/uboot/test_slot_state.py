# SPDX-License-Identifier: MIT
"""Two copies of the slot state: where they are, and which of them counts."""

from __future__ import annotations

import pytest

from bootseal.formats.uboot import slot_state
from bootseal.formats.uboot.environment import emit_environment
from bootseal.units import KIB, MIB

OLD = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "0"}
NEW = {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}


@pytest.mark.parametrize(
    ("size", "places"),
    [
        (16 * KIB, (0,)),
        (528 * KIB - 1, (0,)),
        (528 * KIB, (0, 512 * KIB)),
        (MIB, (0, 512 * KIB)),
    ],
)
def test_second_copy_is_where_there_is_room_for_it(size: int, places: tuple[int, ...]) -> None:
    assert slot_state.places(size) == places
    image = slot_state.emit(OLD, size)
    assert len(image) == places[-1] + slot_state.SIZE <= size
    block = emit_environment(OLD)
    assert all(image[place : place + slot_state.SIZE] == block for place in places)
    assert sum(map(bool, image)) == len(places) * sum(map(bool, block))


def test_first_copy_counts_if_its_checksum_holds_then_the_second() -> None:
    first, second = emit_environment(OLD), emit_environment(NEW)
    torn = b"\1" + first[1:]

    assert slot_state.counts([first, second]) == 0
    assert slot_state.counts([torn, second]) == 1
    assert slot_state.counts([first, torn]) == 0
    assert slot_state.counts([torn, torn]) is None
    assert slot_state.counts([torn]) is None
    assert slot_state.counts([bytes(slot_state.SIZE), second]) == 1
    assert slot_state.counts([b"", b"abcd"]) is None
