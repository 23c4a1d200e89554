# SPDX-License-Identifier: MIT
"""Every byte of a FIP, and what protects it.

The bytes that no signature covers are those of the header, the table of contents and the padding.
Each has one right value (`bootseal.formats.fip`), so a change of any is refused all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.protection import State

if TYPE_CHECKING:
    from bootseal.formats.fip import Fip


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Some bytes of a FIP.

    Attributes:
        name: What they are: fiptool's name of an image, or a part of the table.
        start: Offset of the first byte.
        end: Offset of the first byte behind.
        state: What protects them.
    """

    name: str
    start: int
    end: int
    state: State


def regions(found: Fip, good: Collection[str]) -> tuple[Region, ...]:
    """Return all regions of a FIP in file order, without gaps between them.

    Args:
        found: The FIP.
        good: The images and certificates that the chain leads to.
    """
    return tuple(region for region in _regions(found, good) if region.start < region.end)


def _regions(found: Fip, good: Collection[str]) -> Iterator[Region]:
    table = found.entries[0].place
    yield Region(name="header", start=0, end=table, state=State.UNSIGNED)
    yield Region(name="ToC", start=table, end=found.toc_end, state=State.UNSIGNED)
    end = found.toc_end
    for entry in found.entries:
        yield Region(name="padding", start=end, end=entry.offset, state=State.UNUSED)
        state = State.SIGNED if entry.name in good else State.UNSIGNED
        yield Region(name=entry.name, start=entry.offset, end=entry.end, state=state)
        end = entry.end
    yield Region(name="padding", start=end, end=len(found.data), state=State.UNUSED)
