# SPDX-License-Identifier: MIT
"""The whole hash tree of a root partition: made, and checked against the signed root hash.

Every layer is checked against the one above it, the data at last, in pieces that several processes
share. Partitions that are opened with the same root hash are checked side by side: what is equal
to what was found good is good, without another digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final, Protocol

from bootseal.disk import workers
from bootseal.formats import verity
from bootseal.formats.verity import BLOCK, DIGEST, Layer, Tree

if TYPE_CHECKING:
    from bootseal.disk.image import Disk
    from bootseal.formats.fdt.scan import Buffer

_SPAN: Final = 256
"""Blocks that are read and checked at a time: 1 MiB."""
_SMALL: Final = 4096
"""Data blocks that are checked faster than processes are started: 16 MiB."""


class Readable(Protocol):
    """A disk, or one that is changed in memory."""

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root partition and its tree on a disk.

    Attributes:
        name: Name of the root partition.
        tree: What opens it, as the signed command line says.
        data: Offset of the root partition on the disk.
        hashes: Offset of the partition with the tree.
    """

    name: str
    tree: Tree
    data: int
    hashes: int

    def layers(self) -> tuple[Layer, ...]:
        """Return the data and the levels above it, by their place on the disk."""
        levels = self.tree.levels()
        return (
            Layer(start=self.data, blocks=self.tree.blocks),
            *(Layer(start=self.hashes + each.start, blocks=each.blocks) for each in levels),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A block that does not have its digest.

    Attributes:
        root: Name of the root partition it belongs to.
        level: 0 is the data, 1 the lowest level of the tree.
        number: Number of the block in its layer.
        offset: Offset on the disk.
    """

    root: str
    level: int
    number: int
    offset: int


class _Buffers:
    """Two spans: to allocate them for each read would cost as much as hashing."""

    def __init__(self) -> None:
        self.first = bytearray(_SPAN * BLOCK)
        self.other = bytearray(_SPAN * BLOCK)


@contextmanager
def checking(disk: Disk, roots: Sequence[Root]) -> Iterator[Iterator[Bad]]:
    """Check roots and their trees, in separate processes while the context's body runs.

    Args:
        disk: The disk.
        roots: The roots; those whose `tree` is the same are read side by side.

    Yields:
        The bad blocks, the top of each tree first. Only when there are no more is all checked.
        Reading them raises FormatError where the disk ends within a root or its tree, and
        ToolError where a part of the check was ended from outside.
    """
    names = [root.name for root in roots]
    groups = [list(group) for _, group in groupby(sorted(roots, key=_tree), _tree)]
    spans = [
        (order, level, range(first, min(first + _SPAN, layer.blocks)))
        for order, group in enumerate(groups)
        for level, layer in reversed([*enumerate(group[0].layers())])
        for first in range(0, layer.blocks, _SPAN)
    ]

    buffers = _Buffers()

    def job(task: int) -> list[Bad]:
        order, level, span = spans[task]
        bad = _check_span(disk, groups[order], buffers, level, span)
        return sorted(bad, key=lambda each: (each.number, names.index(each.root)))

    count = workers.cores() if any(root.tree.blocks > _SMALL for root in roots) else 1
    alone = nullcontext(map(job, range(len(spans))))
    with workers.started(job, len(spans), count) if count > 1 else alone as found:
        yield chain.from_iterable(found)


def build(data: Buffer, salt: bytes) -> tuple[Tree, bytes]:
    """Hash data.

    Args:
        data: Whole blocks, at least one.
        salt: What is hashed in front of each block.

    Returns:
        What opens the tree, and its levels, the top one first.
    """
    level = verity.digests(salt, data)
    levels: list[bytes] = []
    while len(level) > DIGEST:
        levels.append(level.ljust(-(-len(level) // BLOCK) * BLOCK, b"\0"))
        level = verity.digests(salt, levels[-1])
    tree = Tree(root_hash=level, salt=salt, blocks=len(data) // BLOCK)
    return tree, b"".join(reversed(levels))


def _tree(root: Root) -> tuple[bytes, bytes, int]:
    return root.tree.root_hash, root.tree.salt, root.tree.blocks


def holds(disk: Readable, root: Root, level: int, number: int) -> bool:
    """Say whether one block hashes up to the root hash, as the kernel checks it on a read."""
    layers = root.layers()
    while level < len(layers):
        content = disk.read(layers[level].start + number * BLOCK, BLOCK)
        expected = _expected(disk, root, layers, level, number, 1)
        if verity.digests(root.tree.salt, content) != expected:
            return False
        level, number = level + 1, number * DIGEST // BLOCK
    return True


def _check_span(
    disk: Disk, roots: Sequence[Root], buffers: _Buffers, level: int, span: range
) -> list[Bad]:
    bad: list[Bad] = []
    known = b""
    for root in roots:
        layers = root.layers()
        start = layers[level].start + span.start * BLOCK
        buffer = buffers.other if known else buffers.first
        content = disk.read_into(start, memoryview(buffer)[: len(span) * BLOCK])
        same = known and len(span) == _SPAN and buffers.other == buffers.first
        found = known if same else verity.digests(root.tree.salt, content)
        expected = _expected(disk, root, layers, level, span.start, len(span))
        if found == expected:
            known = known or found
            continue
        bad += [
            Bad(root=root.name, level=level, number=number, offset=start + i * BLOCK)
            for i, number in enumerate(span)
            if found[i * DIGEST : (i + 1) * DIGEST] != expected[i * DIGEST : (i + 1) * DIGEST]
        ]
    return bad


def _expected(
    disk: Readable, root: Root, layers: Sequence[Layer], level: int, first: int, count: int
) -> bytes:
    """Return the digests that the layer above has for some blocks."""
    if level + 1 == len(layers):
        return root.tree.root_hash
    return disk.read(layers[level + 1].start + first * DIGEST, count * DIGEST)
