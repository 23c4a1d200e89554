# SPDX-License-Identifier: MIT
"""The slot state: the only settings U-Boot reads from the disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats.uboot.environment import parse_environment

if TYPE_CHECKING:
    from bootseal.device import Partition
    from bootseal.disk.hash_tree import Readable
    from bootseal.findings.model import Finding

SIZE: Final = 0x4000
"""Bytes of the environment block at the start of the partition."""

_LEFT: Final = re.compile("[0-3]")
# What the boot logic knows; any other order is A B to it, any other number no attempts.
_VALUES: Final = {
    "BOOT_ORDER": re.compile("A B|B A"),
    "BOOT_A_LEFT": _LEFT,
    "BOOT_B_LEFT": _LEFT,
}


def check(disk: Readable, entry: Partition) -> Iterator[Finding]:
    """Yield what is wrong with the slot state, and which slots it has given up."""
    if entry.size < SIZE:
        yield finding(
            "disk.bootstate",
            entry.name,
            f"it has {entry.size} bytes: expected {SIZE} or more",
            offset=entry.offset,
        )
        return
    try:
        variables = parse_environment(disk.read(entry.offset, SIZE))
    except FormatError as error:
        yield finding(
            "disk.bootstate",
            entry.name,
            f"U-Boot will use its defaults: {error.message}",
            offset=entry.offset,
        )
        return
    for name in sorted(variables.keys() - _VALUES.keys()):
        yield finding(
            "disk.bootstate-variable",
            entry.name,
            f"it sets {name!r}, which nothing may",
            offset=entry.offset,
            observed=name,
        )
    for name, allowed in _VALUES.items():
        value = variables.get(name)
        if value is None or allowed.fullmatch(value) is None:
            message = f"{name} is {value!r}: expected {allowed.pattern}"
            yield finding(
                "disk.bootstate-value",
                entry.name,
                message,
                offset=entry.offset,
                observed=str(value),
            )
    for slot in "AB":
        if variables.get(f"BOOT_{slot}_LEFT") == "0":
            yield finding(
                "disk.bootstate-spent",
                entry.name,
                f"slot {slot.lower()} has no attempts left: U-Boot starts it as the last resort",
                offset=entry.offset,
            )
