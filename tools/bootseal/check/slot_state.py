# SPDX-License-Identifier: MIT
"""The slot state: the only settings U-Boot reads from the disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bootseal.disk.findings import finding
from bootseal.errors import FormatError
from bootseal.findings.model import Severity
from bootseal.formats.uboot.environment import parse_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.disk.hash_tree import Readable
    from bootseal.findings.model import Finding
    from bootseal.formats.gpt import Entry

SIZE: Final = 0x4000
"""Bytes of the environment block at the start of the partition."""

_LEFT: Final = re.compile("[0-3]")
# What the boot logic knows; anything else it takes for the default.
_VALUES: Final = {
    "BOOT_ORDER": re.compile("A B|B A"),
    "BOOT_A_LEFT": _LEFT,
    "BOOT_B_LEFT": _LEFT,
}
_REMEDY: Final = "write bootstate.img of the build to the partition"


def check(disk: Readable, entry: Entry) -> Iterator[Finding]:
    """Yield what is wrong with the slot state of a disk that has never run."""
    if entry.size < SIZE:
        yield _error("bootstate", entry, f"it has {entry.size} bytes: expected {SIZE} or more")
        return
    try:
        variables = parse_environment(disk.read(entry.offset, SIZE))
    except FormatError as error:
        yield _error("bootstate", entry, f"U-Boot will use its defaults: {error.message}")
        return
    for name in sorted(variables.keys() - _VALUES.keys()):
        yield _error("bootstate-variable", entry, f"it sets {name!r}, which nothing may", name)
    for name, allowed in _VALUES.items():
        value = variables.get(name)
        if value is None or allowed.fullmatch(value) is None:
            message = f"{name} is {value!r}: expected {allowed.pattern}"
            yield _error("bootstate-value", entry, message, str(value))


def _error(name: str, entry: Entry, message: str, observed: str = "") -> Finding:
    return finding(
        name,
        Severity.ERROR,
        entry.name,
        message,
        offset=entry.offset,
        observed=observed,
        remedy=_REMEDY,
    )
