# SPDX-License-Identifier: MIT
"""Device trees to edit, and the writer for them.

`parse` and `emit` turn bytes into a tree of nodes and back; `read`, from `fdt_flat`, describes the
same bytes in place, with the offset of every value.

Spec: Devicetree Specification v0.4, chapter 5.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bootseal.errors import FormatError
from bootseal.formats.fdt.read import (
    HEADER_SIZE,
    LAST_COMPATIBLE,
    MAGIC,
    VERSION,
    Flat,
    FlatNode,
    read,
    total_size,
)
from bootseal.formats.fdt.scan import Buffer, Tag

__all__ = [
    "Buffer",
    "Flat",
    "FlatNode",
    "Node",
    "assemble",
    "emit",
    "encode_begin",
    "encode_header",
    "encode_property",
    "find_string",
    "parse",
    "read",
    "rewrite",
    "thaw",
    "total_size",
]

_WORD: Final = struct.Struct(">I")


@dataclass(slots=True)
class Node:
    """A node to edit; order of properties and children is kept.

    The writer takes any tree, also trees the reader refuses, so that attacks can be written down.
    """

    name: str = ""
    properties: dict[str, bytes] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def child(self, name: str) -> Node | None:
        """Return the first child with exactly this name."""
        return next((child for child in self.children if child.name == name), None)

    def find(self, path: str) -> Node | None:
        """Return the first node with exactly this path below this node."""
        node: Node | None = self
        for name in filter(None, path.split("/")):
            if node is None:
                return None
            node = node.child(name)
        return node


def parse(data: Buffer) -> Node:
    """Read a flattened tree into an editable one.

    Raises:
        FormatError: As `read`, and also when two siblings have the same name.
    """
    flat = read(data)
    for node in flat.root.walk():
        names = [child.name for child in node.children]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise FormatError(f"device tree: {node.path} has two children called {twice!r}")
    return thaw(flat.root)


def thaw(flat: FlatNode) -> Node:
    """Copy a node and all below it into an editable tree."""
    properties = {name: bytes(found.value) for name, found in flat.properties.items()}
    return Node(flat.name, properties, [thaw(child) for child in flat.children])


def emit(
    root: Node,
    *,
    strings: bytes = b"",
    reservations: Sequence[tuple[int, int]] = (),
    boot_cpuid: int = 0,
) -> bytes:
    """Write a tree as a flattened tree of version 17, without slack.

    Args:
        root: The tree; its name is written as it is.
        strings: Strings block to start from. With the block of the tree this one came from, the
            unchanged nodes get their old bytes, and with them their old signature.
        reservations: Address and size of each memory reservation.
        boot_cpuid: Physical id of the boot CPU.

    Returns:
        The flattened tree; `parse` of it gives `root` again when `root` is within the limits.
    """
    table = bytearray(strings)
    structure = bytearray()
    _emit_node(root, structure, table)
    structure += _WORD.pack(Tag.END)
    pairs = b"".join(struct.pack(">QQ", *pair) for pair in [*reservations, (0, 0)])
    return assemble(pairs, structure, table, boot_cpuid=boot_cpuid)


def rewrite(data: Buffer, change: Callable[[Node], object]) -> bytes:
    """Apply `change` to the tree of `data` and write it with the same strings and reservations.

    A `change` that does nothing keeps every signature in the tree valid.

    Raises:
        FormatError: `data` is not a tree.
    """
    flat = read(data)
    root = thaw(flat.root)
    change(root)
    return emit(
        root,
        strings=flat.strings,
        reservations=flat.reservations,
        boot_cpuid=flat.header.boot_cpuid,
    )


def assemble(
    reservations: Buffer,
    structure: Buffer,
    strings: Buffer,
    *,
    boot_cpuid: int = 0,
    size: int = 0,
) -> bytes:
    """Join the three blocks after a header, padded with zeros to `size` bytes."""
    sizes = (len(reservations), len(structure), len(strings))
    header = encode_header(*sizes, boot_cpuid=boot_cpuid, size=size)
    return b"".join((header, reservations, structure, strings)).ljust(size, b"\0")


def encode_header(
    reservations: int, structure: int, strings: int, *, boot_cpuid: int = 0, size: int = 0
) -> bytes:
    """Encode the header of a tree whose blocks follow it and each other without gaps.

    Args:
        reservations: Size of the memory reservations in bytes.
        structure: Size of the structure block.
        strings: Size of the strings block.
        boot_cpuid: Physical id of the boot CPU.
        size: The least size of the whole tree.
    """
    off_struct = HEADER_SIZE + reservations
    off_strings = off_struct + structure
    total = max(size, off_strings + strings)
    blocks = (off_struct, off_strings, HEADER_SIZE, VERSION, LAST_COMPATIBLE, boot_cpuid)
    return struct.pack(">10I", MAGIC, total, *blocks, strings, structure)


def find_string(table: Buffer, name: str) -> int:
    """Return the offset libfdt and dtc use for a name in a strings block, or -1.

    Both take the first place where the name and its NUL are, also at the end of a longer name.

    >>> find_string(b"data-size" + bytes(1), "size")
    5
    """
    return bytes(table).find(name.encode() + b"\0")


def encode_property(name: str, value: bytes, strings: bytearray) -> bytes:
    """Encode a property tag; a name that is not in `strings` yet is appended to it."""
    offset = find_string(strings, name)
    if offset < 0:
        offset = len(strings)
        strings += name.encode() + b"\0"
    return struct.pack(">III", Tag.PROP, len(value), offset) + value + bytes(-len(value) % 4)


def encode_begin(name: str) -> bytes:
    """Encode a BEGIN_NODE tag with its name."""
    text = name.encode() + b"\0"
    return _WORD.pack(Tag.BEGIN_NODE) + text + bytes(-len(text) % 4)


def _emit_node(node: Node, structure: bytearray, strings: bytearray) -> None:
    structure += encode_begin(node.name)
    for name, value in node.properties.items():
        structure += encode_property(name, value, strings)
    for child in node.children:
        _emit_node(child, structure, strings)
    structure += _WORD.pack(Tag.END_NODE)
