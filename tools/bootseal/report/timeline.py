# SPDX-License-Identifier: MIT
"""Geometry of the page's drawings: where bars, ticks and labels go, in user units of an SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bootseal.boot.scenario.model import StepResult

WIDTH: Final = 1000.0
"""Width of every time line; one unit is a thousandth of it."""
_LABEL_UNITS: Final = 6.6
_STEPS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_TICKS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBar:
    """A phase: `label` is empty when the name does not fit into the bar."""

    name: str
    x: float
    width: float
    label: str
    colour: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the axis, or a sighting above it."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLine:
    """One power cycle to scale."""

    bars: tuple[PhaseBar, ...]
    axis: tuple[Tick, ...]
    marks: tuple[Tick, ...]


def axis_step(duration: float) -> float:
    """Return the distance between axis labels, in seconds, that gives about ten of them.

    >>> axis_step(42.0)
    5.0
    """
    for step in _STEPS:
        if duration / step <= _TICKS:
            return step
    return float(-(-duration // _TICKS))


def time_line(step: StepResult, colours: dict[str, int]) -> TimeLine:
    """Lay out one power cycle.

    Args:
        step: The power cycle.
        colours: Colour index by phase name; names that are not in it are added.
    """
    end = max([step.duration, *(p.end for p in step.phases), *(s.time for s in step.seen), 0.001])
    scale = WIDTH / end
    bars = []
    for phase in step.phases:
        if phase.end <= phase.start:
            continue
        colour = colours.setdefault(phase.name, len(colours))
        width = (phase.end - phase.start) * scale
        bars.append(
            PhaseBar(
                name=phase.name,
                x=round(phase.start * scale, 1),
                width=round(max(width, 1.0), 1),
                label=phase.name if width > len(phase.name) * _LABEL_UNITS + 8 else "",
                colour=colour,
                seconds=phase.end - phase.start,
            )
        )
    distance = axis_step(end)
    axis = [
        Tick(x=round(i * distance * scale, 1), label=f"{i * distance:g} s")
        for i in range(int(end / distance) + 1)
    ]
    marks = [
        Tick(
            x=round(s.time * scale, 1),
            label=f"{s.time:.1f} s {s.name}" + (f": {s.detail}" if s.detail else ""),
        )
        for s in step.seen
    ]
    return TimeLine(bars=tuple(bars), axis=tuple(axis), marks=tuple(marks))
