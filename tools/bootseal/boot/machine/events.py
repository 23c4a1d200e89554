# SPDX-License-Identifier: MIT
"""The observations of a power cycle: console lines, phases on the time line, its ending."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """How one power cycle ended."""

    UP = "up"
    """The status line came: the system is up, and reports what it runs on."""
    POWERED_OFF = "powered-off"
    """The device switched itself off."""
    CONSOLE = "console"
    """The console showed the pattern that the step waits for."""
    CUT = "power-cut"
    """We cut the power, as an action of the step said."""
    STOPPED = "stopped"
    """A call of the step ended badly, so nothing more was waited for."""
    TIMEOUT = "timeout"
    """Nothing the step waits for happened in time: proves nothing."""
    CRASHED = "crashed"
    """QEMU or the TPM emulator exited by itself: proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A console line that matched a named pattern.

    Attributes:
        time: Seconds since power-on.
        name: The pattern's name.
        detail: What the pattern captured: an image or slot name, or "".
        line: The line, control characters escaped.
    """

    time: float
    name: str
    detail: str
    line: str

    def matches(self, wanted: str) -> bool:
        """Tell whether this is `name` or `name:detail`."""
        name, _, detail = wanted.partition(":")
        return name == self.name and (not detail or detail == self.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the boot on the time line; seconds since power-on."""

    name: str
    start: float
    end: float
