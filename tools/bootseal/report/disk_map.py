# SPDX-License-Identifier: MIT
"""The map of a disk: every byte to scale, coloured by what protects it, as an SVG drawing.

One row is the whole disk, one each partition, and one each FIT, which is small in its partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.report.disk_document import STATES
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.report.disk_document import DiskVerdict, Part

WIDTH: Final = 1000.0
_LABEL_UNITS: Final = 9.0
_FIT: Final = ": FIT structure"
_IMAGE: Final = ": /images/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Bytes of one state side by side; `state` is an index into `STATES`, x and width are units."""

    x: float
    width: float
    state: int
    title: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A stretch of the disk over the whole width of the drawing."""

    title: str
    size: str
    bars: tuple[Bar, ...]


def rows(verdict: DiskVerdict) -> tuple[Row, ...]:
    """Return the rows of the map."""
    return tuple(_row(title, parts) for title, parts in stretches(verdict))


def stretches(verdict: DiskVerdict) -> Iterator[tuple[str, Sequence[Part]]]:
    """Yield what the rows show: the disk, each partition, and the FIT in it."""
    yield "whole disk", verdict.parts
    for name in dict.fromkeys(part.partition for part in verdict.parts if part.partition):
        inside = [part for part in verdict.parts if part.partition == name]
        yield name, inside
        fit = [part for part in inside if _FIT in part.name or _IMAGE in part.name]
        if fit:
            yield f"FIT in {name}", fit
            last = max(i for i, part in enumerate(fit) if _IMAGE in part.name or i == 0)
            yield f"FIT in {name}, behind its images", fit[last + 1 :] or fit


def _label(part: Part, width: float) -> str:
    """Return the name of an image that has room in its bar."""
    name = part.name.rpartition("/")[2] if _IMAGE in part.name else ""
    return name if len(name) * _LABEL_UNITS < width else ""


def _row(title: str, parts: Sequence[Part]) -> Row:
    start, end = parts[0].start, parts[-1].end
    scale = WIDTH / max(end - start, 1)
    bars: list[Bar] = []
    for part in parts:
        size = format_size(part.end - part.start)
        bar = Bar(
            x=round((part.start - start) * scale, 3),
            width=round((part.end - part.start) * scale, 3),
            state=STATES.index(part.state),
            label=_label(part, (part.end - part.start) * scale),
            title=f"{part.name or 'unallocated'}: {part.state}, {size} at {part.start:#x}",
        )
        bars.append(bar)
    return Row(title=title, size=format_size(end - start), bars=tuple(bars))
