# SPDX-License-Identifier: MIT
"""The map of a disk: every byte to scale, coloured by what protects it, as an SVG drawing.

One row is the whole disk, one each partition, and one each FIT, which is small in its partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.protection import State
from bootseal.units import format_size

if TYPE_CHECKING:
    from bootseal.check.coverage import DiskRegion
    from bootseal.check.document import DiskReport

WIDTH: Final = 1000.0
_LABEL_UNITS: Final = 9.0
_ORDER: Final = list(State)
_FIT: Final = ": FIT structure"
_IMAGE: Final = ": /images/"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionBar:
    """Bytes of one state side by side; `state` counts the `State`s, x and width are units."""

    x: float
    width: float
    state: int
    title: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRow:
    """A stretch of the disk over the whole width of the drawing."""

    title: str
    size: str
    bars: tuple[RegionBar, ...]


def rows(report: DiskReport) -> tuple[MapRow, ...]:
    """Return the rows of the map."""
    return tuple(_row(title, parts) for title, parts in stretches(report))


def stretches(report: DiskReport) -> Iterator[tuple[str, Sequence[DiskRegion]]]:
    """Yield what the rows show: the disk, each partition, and the FIT in it."""
    yield "whole disk", report.map
    for name in dict.fromkeys(part.partition for part in report.map if part.partition):
        inside = [part for part in report.map if part.partition == name]
        yield name, inside
        fit = [part for part in inside if _FIT in part.name or _IMAGE in part.name]
        if fit:
            yield f"FIT in {name}", fit
            last = max(i for i, part in enumerate(fit) if _IMAGE in part.name or i == 0)
            yield f"FIT in {name}, behind its images", fit[last + 1 :] or fit


def _label(part: DiskRegion, width: float) -> str:
    """Return the name of an image that has room in its bar."""
    name = part.name.rpartition("/")[2] if _IMAGE in part.name else ""
    return name if len(name) * _LABEL_UNITS < width else ""


def _row(title: str, parts: Sequence[DiskRegion]) -> MapRow:
    start, end = parts[0].start, parts[-1].end
    scale = WIDTH / max(end - start, 1)
    bars: list[RegionBar] = []
    for part in parts:
        size = format_size(part.size)
        bar = RegionBar(
            x=round((part.start - start) * scale, 3),
            width=round(part.size * scale, 3),
            state=_ORDER.index(part.state),
            label=_label(part, part.size * scale),
            title=f"{part.name or 'unallocated'}: {part.state}, {size} at {part.start:#x}",
        )
        bars.append(bar)
    return MapRow(title=title, size=format_size(end - start), bars=tuple(bars))
