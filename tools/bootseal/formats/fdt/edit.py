# SPDX-License-Identifier: MIT
"""Changes flattened device trees byte for byte the way libfdt does.

A signature in a FIT covers bytes of the file, and other tools sign with libfdt. Doing the same
insertions at the same places makes our output identical to theirs. The tree is kept as a list of
tags that point into the caller's bytes, so no change copies or moves a payload.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.read import HEADER_SIZE
from bootseal.formats.fdt.scan import Tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.formats.fdt.model import Buffer


class Piece(NamedTuple):
    """One tag: `raw` is all of it, with value and padding."""

    tag: Tag
    name: str
    raw: Buffer


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
        self._pieces = [Piece(t.tag, t.name, flat.data[t.start : t.end]) for t in flat.tokens]
        self._structure_size = header.size_struct
        self._strings = bytearray(flat.strings)
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
        return tuple(self._pieces)

    @property
    def strings(self) -> bytes:
        """The strings block."""
        return bytes(self._strings)

    def set_property(self, path: str, name: str, value: bytes) -> None:
        """Set a property: an old one is resized in place, a new one becomes the node's first.

        Raises:
            FormatError: There is no such node.
        """
        first, end = self._locate(path)
        for index in range(first, end):
            if self._pieces[index].name == name:
                self._splice(index, index + 1, name, value)
                return
        self._splice(first, first, name, value)

    def add_node(self, parent: str, name: str) -> None:
        """Add an empty node behind the properties of `parent`, before its other children.

        Raises:
            FormatError: There is no node `parent`.
        """
        _, end = self._locate(parent)
        begin = Piece(Tag.BEGIN_NODE, name, fdt.encode_begin(name))
        self._replace(end, end, [begin, Piece(Tag.END_NODE, "", struct.pack(">I", Tag.END_NODE))])

    def remove_node(self, path: str) -> None:
        """Remove a node and all below it; names stay in the strings block.

        Raises:
            FormatError: There is no such node.
        """
        _, end = self._locate(path)
        begin = end - 1
        while self._pieces[begin].tag is not Tag.BEGIN_NODE:
            begin -= 1
        depth = 1
        while depth:
            depth += {Tag.BEGIN_NODE: 1, Tag.END_NODE: -1}.get(self._pieces[end].tag, 0)
            end += 1
        self._replace(begin, end, [])

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
        yield from (piece.raw for piece in self._pieces)
        yield self._strings
        yield bytes(max(0, size - self.size))

    def to_bytes(self, size: int = 0) -> bytes:
        """Return the tree, filled with zeros up to `size` bytes."""
        return b"".join(self.chunks(size))

    def _splice(self, start: int, end: int, name: str, value: bytes) -> None:
        new = fdt.encode_property(name, value, self._strings)
        padding = -len(value) % 4
        if padding:
            place = sum(len(piece.raw) for piece in self._pieces[:start]) + len(new) - padding
            new = new[: len(new) - padding] + self._bytes_at(place, padding)
        self._replace(start, end, [Piece(Tag.PROP, name, new)])

    def _replace(self, start: int, end: int, pieces: list[Piece]) -> None:
        self._structure_size -= sum(len(piece.raw) for piece in self._pieces[start:end])
        self._structure_size += sum(len(piece.raw) for piece in pieces)
        self._pieces[start:end] = pieces
        self.peak = max(self.peak, self.size)

    def _bytes_at(self, place: int, size: int) -> bytes:
        """Return what is at an offset of the structure block or behind it.

        libfdt makes room by moving the rest and does not clear the padding of the new property.
        """
        found, start = bytearray(), 0
        for raw in (*(piece.raw for piece in self._pieces), self._strings):
            end = start + len(raw)
            if end > place + len(found) and len(found) < size:
                skip = place + len(found) - start
                found += raw[skip : skip + size - len(found)]
            start = end
        return bytes(found).ljust(size, b"\0")

    def _locate(self, path: str) -> tuple[int, int]:
        """Return the indexes of a node's first property and behind its last one."""
        names: list[str] = []
        wanted = ["", *filter(None, path.split("/"))]
        for index, piece in enumerate(self._pieces):
            if piece.tag is Tag.BEGIN_NODE:
                names.append(piece.name)
                if names == wanted:
                    return index + 1, self._end_of_properties(index + 1)
            elif piece.tag is Tag.END_NODE:
                names.pop()
        raise FormatError(f"device tree: there is no node {path}")

    def _end_of_properties(self, first: int) -> int:
        end = first
        for index in range(first, len(self._pieces)):
            if self._pieces[index].tag is Tag.PROP:
                end = index + 1
            elif self._pieces[index].tag is not Tag.NOP:
                break
        return end
