# SPDX-License-Identifier: MIT
"""Changes flattened device trees byte for byte the way libfdt does.

A signature in a FIT covers bytes of the file, and other tools sign with libfdt. Doing the same
insertions at the same places makes our output identical to theirs.
"""

from __future__ import annotations

import struct

from bootseal.errors import FormatError
from bootseal.formats import fdt
from bootseal.formats.fdt_flat import HEADER_SIZE, Tag, Token, scan


class Editor:
    """A flattened tree being changed; packed first, as `fdt_pack` does.

    Args:
        data: The tree.

    Raises:
        FormatError: The bytes are not a valid tree.
    """

    def __init__(self, data: fdt.Buffer) -> None:
        flat = fdt.read(data)
        header = flat.header
        self._boot_cpuid = header.boot_cpuid
        self._reservations = bytes(flat.data[header.off_reservations : flat.reservations_end])
        self._struct = bytearray(
            flat.data[header.off_struct : header.off_struct + header.size_struct]
        )
        self._strings = bytearray(flat.strings)
        self.peak = self.size
        """Largest size in bytes the tree had so far."""

    @property
    def size(self) -> int:
        """Size of the tree in bytes, without slack."""
        return HEADER_SIZE + len(self._reservations) + len(self._struct) + len(self._strings)

    @property
    def strings_size(self) -> int:
        """Size of the strings block in bytes."""
        return len(self._strings)

    def set_property(self, path: str, name: str, value: bytes) -> None:
        """Set a property: an old one is resized in place, a new one becomes the node's first.

        Raises:
            FormatError: There is no such node.
        """
        start, tokens = self._locate(path)
        for token in tokens:
            if token.name == name:
                self._splice(token.start, token.end, name, value)
                return
        self._splice(start, start, name, value)

    def add_node(self, parent: str, name: str) -> None:
        """Add an empty node behind the properties of `parent`, before its other children.

        Raises:
            FormatError: There is no node `parent`.
        """
        start, tokens = self._locate(parent)
        place = tokens[-1].end if tokens else start
        self._struct[place:place] = fdt.encode_begin(name) + struct.pack(">I", Tag.END_NODE)
        self.peak = max(self.peak, self.size)

    def to_bytes(self, size: int = 0) -> bytes:
        """Return the tree, filled with zeros up to `size` bytes."""
        return fdt.assemble(
            self._reservations, self._struct, self._strings, boot_cpuid=self._boot_cpuid, size=size
        )

    def _splice(self, start: int, end: int, name: str, value: bytes) -> None:
        new = fdt.encode_property(name, value, self._strings)
        padding = -len(value) % 4
        place = start + len(new) - padding
        self._struct[start:end] = new[: len(new) - padding] + self._bytes_at(place, padding)
        self.peak = max(self.peak, self.size)

    def _bytes_at(self, place: int, size: int) -> bytes:
        """Return what lies at an offset of the structure block or behind it.

        libfdt makes room by moving the rest and does not clear the padding of the new property.
        """
        behind = self._strings[max(0, place - len(self._struct)) :]
        return bytes((self._struct[place : place + size] + behind)[:size].ljust(size, b"\0"))

    def _locate(self, path: str) -> tuple[int, list[Token]]:
        """Return where the properties of a node begin, and their tags."""
        tokens = scan(self._struct, 0, len(self._struct), bytes(self._strings))
        names: list[str] = []
        wanted = ["", *filter(None, path.split("/"))]
        for index, token in enumerate(tokens):
            if token.tag is Tag.BEGIN_NODE:
                names.append(token.name)
                if names == wanted:
                    return token.end, _leading_properties(tokens[index + 1 :])
            elif token.tag is Tag.END_NODE:
                names.pop()
        raise FormatError(f"device tree: there is no node {path}")


def _leading_properties(tokens: tuple[Token, ...]) -> list[Token]:
    found: list[Token] = []
    for token in tokens:
        if token.tag is Tag.PROP:
            found.append(token)
        elif token.tag is not Tag.NOP:
            break
    return found
