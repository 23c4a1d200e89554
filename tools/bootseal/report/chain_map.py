# SPDX-License-Identifier: MIT
"""The chain of trust as a drawing: boxes and arrows in user units of an SVG.

There are two layouts of the same stages: one next to the other for a screen, and one below the
other for a telephone. A style sheet shows one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from bootseal.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bootseal.dossier.model import Stage, Standing

_HEIGHT: Final = 76.0
_GAP: Final = 14.0
_EDGE: Final = 6.0
_WIDE: Final = 1160.0
_BETWEEN: Final = 34.0
_NARROW: Final = 358.0
_BELOW: Final = 30.0
_LETTER: Final = 7.5
_BOLD: Final = 8.8
"""Units that a character takes on average, in the text and in the title of a box."""
_MOST: Final = 8
"""Boxes that one level may show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A stage in its place; `lines` are cut to its width, `title` to that without the mark."""

    x: float
    y: float
    width: float
    height: float
    title: str
    lines: tuple[str, ...]
    about: str
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Boxes, and the arrows between them as the path data of SVG."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[str, Standing], ...]


def wide(stages: Sequence[Stage]) -> Drawing:
    """Lay stages out from left to right, a column for each level."""
    levels = max((each.level for each in stages), default=0) + 1
    width = (_WIDE - _BETWEEN * (levels - 1)) / levels
    places: dict[str, tuple[float, float]] = {}
    top = 0.0
    for aside in (False, True):
        band = [each for each in stages if each.aside is aside]
        columns = _levels(band)
        rows = max((len(column) for column in columns), default=0)
        for column in columns:
            start = top + (rows - len(column)) * (_HEIGHT + _GAP) / 2
            for row, stage in enumerate(column):
                x = stage.level * (width + _BETWEEN)
                places[stage.name] = (x, start + row * (_HEIGHT + _GAP))
        top += rows * (_HEIGHT + _GAP) + (_GAP if rows else 0)
    arrows = [
        (_beside(places[name], places[stage.name], width), stage.standing)
        for stage in stages
        for name in stage.behind
        if name in places and stage.name in places
    ]
    return _drawing(stages, places, width, arrows, (_WIDE, top - 2 * _GAP))


def narrow(stages: Sequence[Stage]) -> Drawing:
    """Lay stages out from top to bottom, two next to each other at most."""
    places: dict[str, tuple[float, float]] = {}
    width = (_NARROW - _GAP) / 2
    top = 0.0
    for aside in (False, True):
        for level in _levels([each for each in stages if each.aside is aside]):
            for number, stage in enumerate(level):
                alone = len(level) % 2 and number == len(level) - 1
                x = (_NARROW - width) / 2 if alone else number % 2 * (width + _GAP)
                places[stage.name] = (x, top + number // 2 * (_HEIGHT + _GAP))
            top += -(-len(level) // 2) * (_HEIGHT + _GAP) - _GAP + _BELOW
    arrows = [
        (_under(places[name], places[stage.name], width), stage.standing)
        for stage in stages
        for name in stage.behind
        if name in places and stage.name in places
    ]
    return _drawing(stages, places, width, arrows, (_NARROW, top - _BELOW))


def _levels(stages: Iterable[Stage]) -> list[list[Stage]]:
    ordered = sorted(stages, key=lambda each: each.level)
    return [list(of)[:_MOST] for _, of in groupby(ordered, key=lambda each: each.level)]


def _drawing(
    stages: Iterable[Stage],
    places: dict[str, tuple[float, float]],
    width: float,
    arrows: Iterable[tuple[str, Standing]],
    size: tuple[float, float],
) -> Drawing:
    boxes = tuple(
        Box(
            x=round(places[each.name][0], 1),
            y=round(places[each.name][1], 1),
            width=round(width, 1),
            height=_HEIGHT,
            title=_cut(each.title, width - 22, _BOLD),
            lines=(_cut(each.holds, width, _LETTER), _cut(each.how, width, _LETTER)),
            about=f"{each.title}: {each.holds}; {each.how}: {each.standing}",
            standing=each.standing,
        )
        for each in stages
        if each.name in places
    )
    return Drawing(width=size[0], height=max(size[1], 1.0), boxes=boxes, arrows=tuple(arrows))


def _cut(text: str, width: float, letter: float) -> str:
    text, room = visible(text), int((width - 20) / letter)
    return text if len(text) <= room else f"{text[: max(room - 1, 1)]}\N{HORIZONTAL ELLIPSIS}"


def _beside(start: tuple[float, float], end: tuple[float, float], width: float) -> str:
    x, y = start[0] + width, start[1] + _HEIGHT / 2
    to_x, to_y = end[0] - _EDGE, end[1] + _HEIGHT / 2
    middle = (x + to_x) / 2
    return f"M{x:.1f} {y:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"


def _under(start: tuple[float, float], end: tuple[float, float], width: float) -> str:
    x, y = start[0] + width / 2, start[1] + _HEIGHT
    to_x, to_y = end[0] + width / 2, end[1] - _EDGE
    middle = (y + to_y) / 2
    return f"M{x:.1f} {y:.1f}C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
