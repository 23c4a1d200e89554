# SPDX-License-Identifier: MIT
"""Changes flattened device trees byte for byte the way libfdt does.

A signature in a FIT covers bytes of the file, and other tools sign with libfdt. Doing the same
insertions at the same places makes our output identical to theirs. The tree is kept as a chain of
tags that point into the caller's bytes, so no change copies or moves a payload, and none costs more
in a large tree than in a small one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.read import HEADER_SIZE
from bootseal.formats.fdt.scan import Tag

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer

_OWN: Final = frozenset({Tag.PROP, Tag.NOP})


class Piece(NamedTuple):
    """One tag: `raw` is all of it, with value and padding."""

    tag: Tag
    name: str
    raw: Buffer


class _Link:
    """A tag in the chain; the chain is a ring, closed by a link that is not a tag of the tree."""

    __slots__ = ("next", "piece", "previous")

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.previous = self
        self.next = self

    def insert(self, piece: Piece) -> _Link:
        """Insert a tag after this one and return its link."""
        new = _Link(piece)
        new.previous, new.next = self, self.next
        self.next.previous = new
        self.next = new
        return new

    def remove(self) -> None:
        """Remove this tag from the chain."""
        self.previous.next, self.next.previous = self.next, self.previous


class Editor:
    """A flattened tree being changed; packed first, as `fdt_pack` does.

    Args:
        data: The tree; it must not change while the editor is in use.
        lenient: Read it as libfdt does.

    Raises:
        FormatError: The bytes are not a valid tree.
    """

    def __init__(self, data: Buffer, *, lenient: bool = False) -> None:
        flat = fdt.read(data, lenient=lenient)
        header = flat.header
        self._boot_cpuid = header.boot_cpuid
        self._reservations = bytes(flat.data[header.off_reservations : flat.reservations_end])
        self._structure_size = header.size_struct
        self._strings = bytearray(flat.strings)
        self._ring = _Link(Piece(Tag.END, "", b""))
        # The BEGIN_NODE tags of each path in file order: libfdt finds the first.
        self._nodes: dict[str, list[_Link]] = {}
        last, path = self._ring, list[str]()
        for token in flat.tokens:
            last = last.insert(Piece(token.tag, token.name, flat.data[token.start : token.end]))
            if token.tag is Tag.BEGIN_NODE:
                path.append(token.name)
                self._nodes.setdefault("/".join(path), []).append(last)
            elif token.tag is Tag.END_NODE:
                path.pop()
        self.peak = self.size
        """Largest size in bytes the tree had so far."""

    @property
    def size(self) -> int:
        """Size of the tree in bytes, without slack."""
        blocks = len(self._reservations) + self._structure_size + len(self._strings)
        return HEADER_SIZE + blocks

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All tags in file order."""
        return tuple(link.piece for link in self._from(self._ring.next))

    @property
    def strings(self) -> bytes:
        """The strings block."""
        return bytes(self._strings)

    def set_property(self, path: str, name: str, value: bytes) -> None:
        """Set a property: an old one is resized in place, a new one becomes the node's first.

        Raises:
            FormatError: There is no such node.
        """
        begin = self._locate(path)
        new = fdt.encode_property(name, value, self._strings)
        old = next((link for link in self._own(begin) if link.piece.name == name), None)
        if padding := -len(value) % 4:
            size = len(new) - padding
            new = new[:size] + self._bytes_at(old or begin.next, size, padding)
        piece = Piece(Tag.PROP, name, new)
        if old is None:
            begin.insert(piece)
        else:
            self._structure_size -= len(old.piece.raw)
            old.piece = piece
        self._grow(len(new))

    def add_node(self, parent: str, name: str) -> None:
        """Add an empty node after the properties of `parent`, before its other children.

        Raises:
            FormatError: There is no node `parent`.
        """
        last = self._locate(parent)
        for link in self._own(last):
            if link.piece.tag is Tag.PROP:
                last = link
        begin = last.insert(Piece(Tag.BEGIN_NODE, name, fdt.encode_begin(name)))
        end = begin.insert(Piece(Tag.END_NODE, "", struct.pack(">I", Tag.END_NODE)))
        self._nodes.setdefault(f"{_key(parent)}/{name}", []).insert(0, begin)
        self._grow(len(begin.piece.raw) + len(end.piece.raw))

    def remove_node(self, path: str) -> None:
        """Remove a node and all below it; names stay in the strings block.

        Raises:
            FormatError: There is no such node.
        """
        names = [_key(path).rpartition("/")[0]]
        for link in self._from(self._locate(path)):
            link.remove()
            self._structure_size -= len(link.piece.raw)
            if link.piece.tag is Tag.BEGIN_NODE:
                names.append(link.piece.name)
                self._nodes["/".join(names)].remove(link)
            elif link.piece.tag is Tag.END_NODE:
                names.pop()
                if len(names) == 1:
                    return

    def chunks(self, size: int = 0) -> Iterator[Buffer]:
        """Yield the tree in parts that may be large, filled with zeros up to `size` bytes."""
        yield fdt.encode_header(
            len(self._reservations),
            self._structure_size,
            len(self._strings),
            boot_cpuid=self._boot_cpuid,
            size=size,
        )
        yield self._reservations
        yield from (piece.raw for piece in self.pieces)
        yield self._strings
        yield bytes(max(0, size - self.size))

    def to_bytes(self, size: int = 0) -> bytes:
        """Return the tree, filled with zeros up to `size` bytes."""
        return b"".join(self.chunks(size))

    def _grow(self, size: int) -> None:
        self._structure_size += size
        self.peak = max(self.peak, self.size)

    def _bytes_at(self, first: _Link, place: int, size: int) -> bytes:
        """Return what is `place` bytes after the start of a tag.

        libfdt makes room by moving the rest and does not clear the padding of the new property.
        """
        found = bytearray()
        raws = (*(link.piece.raw for link in self._until(first, place + size)), self._strings)
        for raw in raws:
            found += raw[max(place, 0) : max(place, 0) + size - len(found)]
            place -= len(raw)
        return bytes(found).ljust(size, b"\0")

    def _until(self, first: _Link, size: int) -> Iterator[_Link]:
        """Yield tags until they make up `size` bytes."""
        for link in self._from(first):
            if size <= 0:
                return
            yield link
            size -= len(link.piece.raw)

    def _from(self, link: _Link) -> Iterator[_Link]:
        """Yield a tag and all that follow it; the one just yielded may be removed."""
        while link is not self._ring:
            yield link
            link = link.next

    def _own(self, begin: _Link) -> Iterator[_Link]:
        """Yield the properties and NOPs between a node's name and its first child or end."""
        for link in self._from(begin.next):
            if link.piece.tag not in _OWN:
                return
            yield link

    def _locate(self, path: str) -> _Link:
        """Return the BEGIN_NODE tag of a node."""
        found = self._nodes.get(_key(path))
        if not found:
            raise FormatError(f"device tree: there is no node {path}")
        return found[0]


def _key(path: str) -> str:
    """Return a path as the editor's index has it: the root is empty."""
    return "/".join(["", *filter(None, path.split("/"))])
