# SPDX-License-Identifier: MIT
"""The bytes of a FIT that a configuration's signature covers.

A listed node counts with its properties (except `UNHASHED`), an unlisted child of one only with
its name, deeper nodes not at all. The strings block, up to a size that the signature node names,
follows the regions of the structure block.

U-Boot walks the whole tree for each signature. Here the tree is indexed once, and a walk looks at
the listed nodes and what leads to them only: a FIT may have a thousand configurations.

Spec: U-Boot boot/fdt_region.c, fdt_find_regions().
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bootseal.formats.fdt.scan import Tag

if TYPE_CHECKING:
    from bootseal.formats.fdt.read import Flat

UNHASHED: Final = frozenset({"data", "data-size", "data-position", "data-offset"})
"""Properties that no signature covers, in whichever node they are."""


class Region(NamedTuple):
    """A range of file offsets, `end` excluded."""

    start: int
    end: int


class Run(NamedTuple):
    """A range of tags by number, `end` excluded."""

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


class _Node:
    """Numbers of a node's first and last tag, and its children in file order."""

    def __init__(self, path: str, begin: int, end: int = 0) -> None:
        self.path = path
        self.begin = begin
        self.end = end
        self.children: list[_Node] = []


class TagIndex:
    """The nodes of a tree by path, to find what a signature covers.

    Args:
        tags: All tags of a tree in file order; they must not change while the index is in use.
    """

    def __init__(self, tags: Sequence[Named]) -> None:
        self._tags = tags
        self._by_path: dict[str, list[_Node]] = {}
        self._top = _Node("", -1, len(tags))
        stack = [self._top]
        for number, tag in enumerate(tags):
            if tag.tag is Tag.BEGIN_NODE:
                node = _Node(f"{stack[-1].path.rstrip('/')}/{tag.name}", number)
                self._by_path.setdefault(node.path, []).append(node)
                stack[-1].children.append(node)
                stack.append(node)
            elif tag.tag is Tag.END_NODE:
                stack.pop().end = number

    def runs(self, nodes: Iterable[str]) -> list[Run]:
        """Return the tags that a signature over `nodes` (absolute paths) covers.

        Runs are in file order and do not touch each other.
        """
        listed = {path for path in nodes if path in self._by_path}
        walk = _Walk(self._tags, listed, self._below(listed))
        for node in self._top.children:
            walk.visit(node, 0)
        walk.cover(len(self._tags) - 1)
        return walk.runs

    def _below(self, listed: Collection[str]) -> dict[int, list[_Node]]:
        """Return for the first tag of each node the children on the path to a listed node."""
        paths: dict[str, set[str]] = {}
        for path in listed:
            child = path
            while child != "/":
                parent = child.rpartition("/")[0] or "/"
                known = paths.setdefault(parent, set())
                if child in known:
                    break
                known.add(child)
                child = parent
        result: dict[int, list[_Node]] = {}
        for parent, names in paths.items():
            for node in self._by_path[parent]:
                found = [
                    child
                    for name in names
                    for child in self._by_path[name]
                    if node.begin < child.begin < node.end
                ]
                result[node.begin] = sorted(found, key=lambda child: child.begin)
        return result


class _Walk:
    """One walk over the tags that matter to a signature."""

    def __init__(
        self, tags: Sequence[Named], listed: Collection[str], below: dict[int, list[_Node]]
    ) -> None:
        self._tags = tags
        self._listed = listed
        self._below = below
        self._inside = -1
        self.runs: list[Run] = []

    def cover(self, number: int) -> None:
        """Add a tag to the runs."""
        if self.runs and self.runs[-1].end == number:
            self.runs[-1] = Run(self.runs[-1].start, number + 1)
        else:
            self.runs.append(Run(number, number + 1))

    def visit(self, node: _Node, above: int) -> None:
        """Cover what is to be covered of a node.

        Args:
            node: The node.
            above: How much of its parent counts: 2 all of it, 1 its name, 0 nothing.
        """
        want = 2 if node.path in self._listed else max(above - 1, 0)
        if want:
            self._include(node.begin)
        position = node.begin + 1
        for child in node.children if want > 1 else self._below.get(node.begin, ()):
            if want > 1:
                self._own(position, child.begin)
            self.visit(child, want)
            position = child.end + 1
        if want > 1:
            self._own(position, node.end)
        if want:
            self._include(node.end)
        elif self._inside == node.end - 1:
            # A region that an END_NODE ends goes up to behind that tag.
            self.cover(node.end)

    def _own(self, first: int, end: int) -> None:
        """Cover the properties and NOPs between two tags of a listed node."""
        for number in range(first, end):
            if self._tags[number].name not in UNHASHED:
                self._include(number)

    def _include(self, number: int) -> None:
        self.cover(number)
        self._inside = number


def covered(tags: Sequence[Named], nodes: Collection[str]) -> list[bool]:
    """Say for each tag whether a signature over `nodes` (absolute paths) covers it."""
    result = [False] * len(tags)
    for start, end in TagIndex(tags).runs(nodes):
        result[start:end] = [True] * (end - start)
    return result


class SignedRegions:
    """What signatures cover of a tree's bytes.

    Args:
        flat: The tree.
    """

    def __init__(self, flat: Flat) -> None:
        self._flat = flat
        self._index = TagIndex(flat.tokens)

    def of(self, nodes: Iterable[str]) -> list[Region]:
        """Return the ranges of the structure block that a signature over `nodes` covers."""
        tokens = self._flat.tokens
        return [
            Region(tokens[start].start, tokens[end - 1].end)
            for start, end in self._index.runs(nodes)
        ]

    def chunks(self, nodes: Iterable[str], strings_size: int) -> Iterator[memoryview]:
        """Yield the bytes a configuration signature covers, without copying them.

        Args:
            nodes: Absolute paths of the hashed nodes.
            strings_size: How much of the strings block is covered, in bytes from its start.
        """
        for region in self.of(nodes):
            yield self._flat.data[region.start : region.end]
        start = self._flat.header.off_strings
        yield self._flat.data[start : start + strings_size]
