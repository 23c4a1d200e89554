# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.assembly import slot_trees
from bootseal.assembly.verity import Verity
from bootseal.errors import UsageError

VERITY = Verity(root_hash="ab" * 32, salt="cd" * 32, blocks=12)


def test_bootargs_hold_everything_that_opens_the_root() -> None:
    words = slot_trees.bootargs("console=ttyAMA0\n", "b", VERITY).split(" ")

    assert words == [
        "console=ttyAMA0",
        "bootseal.slot=b",
        f"bootseal.roothash={'ab' * 32}",
        f"bootseal.salt={'cd' * 32}",
        "bootseal.blocks=12",
    ]


@pytest.mark.parametrize(
    "base",
    [
        pytest.param('a="b c"', id="quote"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("a\nb", id="two-lines"),
        pytest.param("a" * 2048, id="too-long"),
    ],
)
def test_bootargs_that_would_not_arrive_are_refused(base: str) -> None:
    with pytest.raises(UsageError, match="kernel parameters"):
        slot_trees.bootargs(base, "a", VERITY)


def test_rollback_index_stands_in_chosen() -> None:
    assert "bootseal,rollback-index = <63>;" in slot_trees.for_slot("/dts-v1/;", "quiet", 63)


@pytest.mark.parametrize("index", [-1, 64])
def test_rollback_index_that_is_no_bit_is_refused(index: int) -> None:
    with pytest.raises(UsageError, match=f"the rollback index is {index}: expected 0 to 63"):
        slot_trees.for_slot("/dts-v1/;", "quiet", index)


@pytest.mark.parametrize("version", [None, 0, 63])
def test_firmware_version_stands_in_chosen_with_a_boot_rom(version: int | None) -> None:
    text = slot_trees.for_slot("/dts-v1/;", "quiet", 1, version)
    assert (f"bootseal,firmware-version = <{version}>;" in text) is (version is not None)
    assert text.count("firmware-version") == (version is not None)


@pytest.mark.parametrize("version", [-1, 64])
def test_firmware_version_that_is_not_a_bit_is_refused(version: int) -> None:
    with pytest.raises(UsageError, match=f"the firmware version is {version}: expected 0 to 63"):
        slot_trees.for_slot("/dts-v1/;", "quiet", 1, version)
