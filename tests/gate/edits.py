# SPDX-License-Identifier: MIT
"""Changes of a FIT, as functions from its bytes to others."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.model import Node

if TYPE_CHECKING:
    from collections.abc import Callable

    Make: TypeAlias = Callable[[bytes], bytes]

ROOT_NODE: Final = 56
BEGIN, END_NODE, PROP, NOP, END = (struct.pack(">I", tag) for tag in (1, 2, 3, 4, 9))


def word(offset: int, value: int) -> Make:
    """Set a word of the header."""
    return lambda fit: fit[:offset] + struct.pack(">I", value) + fit[offset + 4 :]


def word_plus(offset: int, more: int) -> Make:
    return lambda fit: word(offset, int.from_bytes(fit[offset : offset + 4]) + more)(fit)


def blocks(fit: bytes) -> tuple[bytes, bytes]:
    """The structure block and the strings block."""
    header = fdt.read(fit).header
    end = header.off_strings
    return fit[header.off_struct : end], fit[end : end + header.size_strings]


def structure(change: Make) -> Make:
    """Change the structure block; the header fits again afterwards."""

    def make(fit: bytes) -> bytes:
        tags, strings = blocks(fit)
        return fdt.assemble(bytes(16), change(tags), strings)

    return make


def strings(change: Make) -> Make:
    """Change the strings block likewise."""

    def make(fit: bytes) -> bytes:
        tags, names = blocks(fit)
        return fdt.assemble(bytes(16), tags, change(names))

    return make


def at(path: str, change: Callable[[Node], object]) -> Make:
    """Change a node of the tree."""

    def make(fit: bytes) -> bytes:
        def edit(root: Node) -> None:
            node = root.find(path)
            assert node is not None
            change(node)

        return fdt.rewrite(fit, edit)

    return make


def put(path: str, name: str, value: bytes) -> Make:
    """Set a property."""
    return at(path, lambda node: node.properties.update({name: value}))


def drop(path: str, name: str) -> Make:
    return at(path, lambda node: node.properties.pop(name))


def child(path: str, *nodes: Node) -> Make:
    """Add nodes behind the children of a node."""
    return at(path, lambda node: node.children.extend(nodes))


def twice(path: str) -> Make:
    """Put a copy of a node behind it."""

    def make(fit: bytes) -> bytes:
        parent, _, name = path.rpartition("/")

        def change(node: Node) -> None:
            found = node.child(name)
            assert found is not None
            node.children.append(found)

        return at(parent, change)(fit)

    return make


def rename(path: str, name: str) -> Make:
    return at(path, lambda node: setattr(node, "name", name))


def prop(nameoff: int, value: bytes = b"", *, size: int | None = None) -> bytes:
    """A property tag."""
    length = len(value) if size is None else size
    return PROP + struct.pack(">II", length, nameoff) + value + bytes(-len(value) % 4)


def named(name: bytes) -> Make:
    """Rename the property `description` in the strings block."""
    return strings(lambda names: names.replace(b"description\0", name + b"\0", 1))


def first(tag: bytes) -> Make:
    """Put tags in front of the first property of the root."""
    return structure(lambda tags: tags[:8] + tag + tags[8:])


def last(tag: bytes) -> Make:
    """Put tags in place of the last one."""
    return structure(lambda tags: tags[:-4] + tag)


def deep(depth: int) -> Node:
    node = Node("hash-x")
    for _ in range(depth):
        node = Node("hash-x", {}, [node])
    return node


def deep_tags(depth: int) -> bytes:
    return fdt.encode_begin("n") * depth + END_NODE * depth


def load(value: int, size: int = 4, image: str = "ramdisk-1") -> Make:
    return put(f"/images/{image}", "load", value.to_bytes(size))


def both(*makes: Make) -> Make:
    def make(fit: bytes) -> bytes:
        for each in makes:
            fit = each(fit)
        return fit

    return make


def many_loads(fit: bytes) -> bytes:
    nodes = [
        Node(f"i-{i}", {"data": b"x", "load": (0x1000 * i).to_bytes(4)}, []) for i in range(65)
    ]
    return child("/images", *nodes)(fit)
