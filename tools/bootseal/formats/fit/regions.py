# SPDX-License-Identifier: MIT
"""The bytes of a FIT that a configuration's signature covers.

A listed node counts with its properties (except `UNHASHED`), an unlisted child of one only with
its name, deeper nodes not at all. The strings block, up to a size that the signature node names,
follows the regions of the structure block.

Spec: U-Boot boot/fdt_region.c, fdt_find_regions().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bootseal.formats.fdt.scan import Tag

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from bootseal.formats.fdt.read import Flat

UNHASHED: Final = frozenset({"data", "data-size", "data-position", "data-offset"})
"""Properties that no signature covers, in whichever node they are."""


class Region(NamedTuple):
    """A range of file offsets, `end` excluded."""

    start: int
    end: int


class Named(Protocol):
    """A tag with its name, wherever it is stored."""

    @property
    def tag(self) -> Tag:
        """What it is."""
        ...

    @property
    def name(self) -> str:
        """Name of the node or property."""
        ...


def covered(tags: Iterable[Named], nodes: Collection[str]) -> list[bool]:
    """Say for each tag whether a signature over `nodes` (absolute paths) covers it."""
    result: list[bool] = []
    stack: list[tuple[int, str]] = []
    want, path, inside = 0, "", False
    for tag in tags:
        closes = False
        if tag.tag is Tag.BEGIN_NODE:
            stack.append((want, path))
            path = f"{path.rstrip('/')}/{tag.name}"
            want = 2 if path in nodes else max(want - 1, 0)
            include = want > 0
        elif tag.tag is Tag.PROP:
            include = want > 1 and tag.name not in UNHASHED
        elif tag.tag is Tag.END_NODE:
            include, closes = want > 0, inside
            want, path = stack.pop()
        else:
            include = tag.tag is Tag.END or want > 1
        # A region that an END_NODE ends goes up to behind that tag.
        result.append(include or closes)
        inside = include
    return result


def hashed_regions(flat: Flat, nodes: Collection[str]) -> list[Region]:
    """Return the ranges of the structure block that a signature over `nodes` covers.

    Args:
        flat: The tree.
        nodes: Absolute paths.
    """
    regions: list[Region] = []
    for token, include in zip(flat.tokens, covered(flat.tokens, nodes), strict=True):
        if include and regions and regions[-1].end == token.start:
            regions[-1] = Region(regions[-1].start, token.end)
        elif include:
            regions.append(Region(token.start, token.end))
    return regions


def signed_chunks(flat: Flat, nodes: Collection[str], strings_size: int) -> Iterator[memoryview]:
    """Yield the bytes a configuration signature covers, without copying them.

    Args:
        flat: The tree.
        nodes: Absolute paths of the hashed nodes.
        strings_size: How much of the strings block is covered, in bytes from its start.
    """
    for region in hashed_regions(flat, nodes):
        yield flat.data[region.start : region.end]
    start = flat.header.off_strings
    yield flat.data[start : start + strings_size]
