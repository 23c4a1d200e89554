# SPDX-License-Identifier: MIT
"""What a scenario's disk must hold once the device is off again."""

from __future__ import annotations

import zlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from bootseal.boot.catalogue.bench import after
from bootseal.errors import VerificationRefused
from bootseal.formats.uboot import slot_state
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

BAD = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "0"}
SECOND = slot_state.places(MIB)[1]


def check(image: bytes) -> None:
    """Check a slot state in memory."""
    disk = SimpleNamespace(
        size=lambda _: MIB, read=lambda _, start, size: image[start : start + size]
    )
    after.slot_state_is("A B", a=3, b=0)(cast("Workspace", SimpleNamespace(disk=disk)))


def test_both_copies_say_what_is_asked_for() -> None:
    check(slot_state.emit(BAD, MIB))


@pytest.mark.parametrize("place", [0, SECOND])
@pytest.mark.parametrize(
    ("other", "why"),
    [
        (BAD | {"BOOT_B_LEFT": "3"}, "'BOOT_B_LEFT': '3'.: expected .*'BOOT_B_LEFT': '0'"),
        (BAD | {"verify": "no"}, "'verify': 'no'"),
        (None, "damaged: its CRC"),
    ],
)
def test_each_copy_is_looked_at(place: int, other: dict[str, str] | None, why: str) -> None:
    image = slot_state.emit(BAD, MIB)
    block = bytes(slot_state.SIZE) if other is None else slot_state.emit(other, slot_state.SIZE)
    with pytest.raises(VerificationRefused, match=f"(?s)state at {place:#x} .*{why}"):
        check(image[:place] + block + image[place + slot_state.SIZE :])


@pytest.mark.parametrize("place", [0, SECOND])
def test_nothing_but_zeros_is_behind_the_last_variable(place: int) -> None:
    image = bytearray(slot_state.emit(BAD, MIB))
    image[place + slot_state.SIZE - 1] = 1
    block = image[place + 4 : place + slot_state.SIZE]
    image[place : place + 4] = zlib.crc32(block).to_bytes(4, "little")

    with pytest.raises(VerificationRefused, match=f"{place:#x} is damaged: .*behind the last"):
        check(bytes(image))
