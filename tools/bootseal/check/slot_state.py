# SPDX-License-Identifier: MIT
"""The slot state: the only settings U-Boot reads from the disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats.uboot import slot_state
from bootseal.formats.uboot.environment import parse_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootseal.device import Partition
    from bootseal.disk.hash_tree import Readable
    from bootseal.findings.model import Finding

_LEFT: Final = re.compile("[0-3]")
# What the boot logic knows; any other order is A B to it, any other number no attempts.
_VALUES: Final = {
    "BOOT_ORDER": re.compile("A B|B A"),
    "BOOT_A_LEFT": _LEFT,
    "BOOT_B_LEFT": _LEFT,
}
_COPIES: Final = ("first", "second")


def check(disk: Readable, entry: Partition) -> Iterator[Finding]:
    """Yield what is wrong with the slot state, and which slots it has given up."""
    if entry.size < slot_state.SIZE:
        yield finding(
            "disk.bootstate",
            entry.name,
            f"it has {entry.size} bytes: expected {slot_state.SIZE} or more",
            offset=entry.offset,
        )
        return
    places = slot_state.places(entry.size)
    blocks = [disk.read(entry.offset + place, slot_state.SIZE) for place in places]
    if len(blocks) == 1 or not any(blocks[1]):
        yield finding(
            "disk.bootstate-copy",
            entry.name,
            "it has no second copy: a write cut short would lose it",
            offset=entry.offset,
        )
        del blocks[1:]
    counts = slot_state.counts(blocks)
    read = "its defaults" if counts is None else f"the {_COPIES[counts]} copy"
    seen: list[dict[str, str]] = []
    for index, block in enumerate(blocks):
        offset = entry.offset + places[index]
        try:
            variables = parse_environment(block)
        except FormatError as error:
            yield finding(
                "disk.bootstate",
                entry.name,
                f"the {_COPIES[index]} copy: {error.message}; U-Boot will use {read}",
                offset=offset,
            )
            continue
        if variables not in seen:
            yield from _variables(entry.name, offset, variables)
        if index == counts:
            yield from _spent(entry, offset, variables)
        seen.append(variables)
    if len(seen) > 1 and seen[0] != seen[1]:
        yield finding(
            "disk.bootstate-copy",
            entry.name,
            f"its two copies differ: U-Boot will use {read}",
            offset=entry.offset + places[1],
        )


def _variables(name: str, offset: int, variables: Mapping[str, str]) -> Iterator[Finding]:
    for other in sorted(variables.keys() - _VALUES.keys()):
        yield finding(
            "disk.bootstate-variable",
            name,
            f"it sets {other!r}, which nothing may",
            offset=offset,
            observed=other,
        )
    for known, allowed in _VALUES.items():
        value = variables.get(known)
        if value is None or allowed.fullmatch(value) is None:
            message = f"{known} is {value!r}: expected {allowed.pattern}"
            yield finding("disk.bootstate-value", name, message, offset=offset, observed=str(value))


def _spent(entry: Partition, offset: int, variables: Mapping[str, str]) -> Iterator[Finding]:
    for slot in "AB":
        if variables.get(f"BOOT_{slot}_LEFT") == "0":
            yield finding(
                "disk.bootstate-spent",
                entry.name,
                f"slot {slot.lower()} has no attempts left: U-Boot starts it as the last resort",
                offset=offset,
            )
