# SPDX-License-Identifier: MIT
"""Reads flattened device trees: bounded, without copies, and strict unless asked otherwise.

All integers in the format are big-endian. The reader walks the tags with a loop and fixed limits,
so no input can exhaust the stack, and it never copies property values: a 256 MiB FIT costs as much
as a small one. Offsets are absolute file offsets in bytes, so that a caller can point at, or
change, any byte of the file.

A `lenient` reading takes what U-Boot's libfdt takes and no dtc writes: other version numbers, any
character but a slash in names, properties that come twice or too late (which libfdt never finds).
Both readings refuse what has no harmless meaning, such as blocks that overlap.

Spec: Devicetree Specification v0.4, chapter 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from bootseal.errors import FormatError
from bootseal.formats.fdt.scan import Buffer, Tag, Token, scan

MAGIC: Final = 0xD00DFEED
VERSION: Final = 17
LAST_COMPATIBLE: Final = 16

# U-Boot refuses to sign or verify beyond these two (boot/fdt_region.c, boot/image-fit-sig.c).
MAX_DEPTH: Final = 32
MAX_PATH: Final = 200

_HEADER: Final = struct.Struct(">10I")
HEADER_SIZE: Final = _HEADER.size
_TWO_ROOTS: Final = (
    "distrust its sender: U-Boot before 2021.04 can be made to verify one root node and "
    "boot from another (CVE-2021-27097)"
)
_PAIR: Final = struct.Struct(">QQ")


class Header(NamedTuple):
    """The header, ten words in file order; offsets and sizes in bytes."""

    magic: int
    total_size: int
    off_struct: int
    off_strings: int
    off_reservations: int
    version: int
    last_compatible: int
    boot_cpuid: int
    size_strings: int
    size_struct: int


class FlatProperty(NamedTuple):
    """A property as it is in the file: a view of its value and the value's offset."""

    value: memoryview
    offset: int


class FlatNode(NamedTuple):
    """A node as it is in the file; `start` is its BEGIN_NODE tag, `end` follows its END_NODE."""

    name: str
    path: str
    start: int
    end: int
    properties: dict[str, FlatProperty]
    children: tuple[FlatNode, ...]

    def child(self, name: str) -> FlatNode | None:
        """Return the first child with exactly this name."""
        return next((child for child in self.children if child.name == name), None)

    def value(self, name: str) -> bytes | None:
        """Return a copy of a property's value, or None when there is no such property."""
        found = self.properties.get(name)
        return None if found is None else bytes(found.value)

    def walk(self) -> Iterator[FlatNode]:
        """Yield this node and all nodes below it in file order."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending.extend(reversed(node.children))


class Flat(NamedTuple):
    """A checked flattened tree over the caller's bytes.

    Attributes:
        data: The tree, exactly `header.total_size` bytes.
        header: Where the blocks are.
        reservations: Address and size of each memory reservation.
        reservations_end: Offset behind the terminating entry of that list.
        strings: The strings block.
        tokens: All tags in file order.
        root: The root node.
    """

    data: memoryview
    header: Header
    reservations: tuple[tuple[int, int], ...]
    reservations_end: int
    strings: bytes
    tokens: tuple[Token, ...]
    root: FlatNode

    def find(self, path: str) -> FlatNode | None:
        """Return the first node with exactly this absolute path."""
        node: FlatNode | None = self.root
        for name in filter(None, path.split("/")):
            if node is None:
                return None
            node = node.child(name)
        return node


def total_size(data: Buffer) -> int:
    """Return the size in bytes that the header at the start of `data` claims.

    Raises:
        FormatError: There is no device tree header, or it claims more than there is.
    """
    if len(data) < HEADER_SIZE:
        raise FormatError(
            f"device tree: {len(data)} bytes are too few for the header of {HEADER_SIZE}"
        )
    magic, size = struct.unpack_from(">II", data)
    if magic != MAGIC:
        raise FormatError(
            f"device tree at offset 0: magic is {magic:#010x}, expected {MAGIC:#010x}"
        )
    if not HEADER_SIZE <= size <= len(data):
        raise FormatError(
            f"device tree at offset 4: total size is {size} bytes, but {len(data)} are there"
        )
    return int(size)


def read(data: Buffer, *, lenient: bool = False) -> Flat:
    """Check a flattened tree and describe it without copying property values.

    Bytes behind the size in the header are ignored; siblings of the same name are kept, so that a
    verifier can report them.

    Args:
        data: A tree at offset 0. It must not change while the result is in use.
        lenient: Take what libfdt takes.

    Raises:
        FormatError: The bytes break the format or a limit; the message names the offset.
    """
    view = memoryview(data).toreadonly()[: total_size(data)]
    header = _read_header(view, lenient=lenient)
    reservations, reservations_end = _read_reservations(view, header)
    strings = bytes(view[header.off_strings : header.off_strings + header.size_strings])
    end = header.off_struct + header.size_struct
    tokens = scan(view, header.off_struct, end, strings, lenient=lenient)
    return Flat(
        data=view,
        header=header,
        reservations=reservations,
        reservations_end=reservations_end,
        strings=strings,
        tokens=tokens,
        root=_build(view, tokens, lenient=lenient),
    )


def _read_header(view: memoryview, *, lenient: bool) -> Header:
    header = Header(*_HEADER.unpack_from(view))
    usual = (header.version, header.last_compatible) == (VERSION, LAST_COMPATIBLE)
    readable = header.last_compatible <= VERSION and header.version >= max(
        header.last_compatible, LAST_COMPATIBLE
    )
    if not usual and not (lenient and readable):
        raise FormatError(
            f"device tree at offset 20: version {header.version}, compatible with "
            f"{header.last_compatible}; expected {VERSION} and {LAST_COMPATIBLE}"
        )
    if header.off_reservations % 8 or header.off_struct % 4 or header.size_struct % 4:
        raise FormatError("device tree at offset 8: a block is not aligned")
    if not (
        header.off_reservations >= HEADER_SIZE
        and header.off_reservations + _PAIR.size <= header.off_struct
        and header.off_struct + header.size_struct <= header.off_strings
        and header.off_strings + header.size_strings <= header.total_size
    ):
        raise FormatError(
            f"device tree at offset 8: the blocks overlap or are out of order: {header}"
        )
    return header


def _read_reservations(view: memoryview, header: Header) -> tuple[tuple[tuple[int, int], ...], int]:
    found: list[tuple[int, int]] = []
    for offset in range(header.off_reservations, header.off_struct - _PAIR.size + 1, _PAIR.size):
        address, size = _PAIR.unpack_from(view, offset)
        if not address and not size:
            return tuple(found), offset + _PAIR.size
        found.append((address, size))
    raise FormatError(
        f"device tree at offset {header.off_reservations}: the memory reservations have no end"
    )


class _Open(NamedTuple):
    """A node whose END_NODE tag has not been seen yet."""

    token: Token
    path: str
    properties: dict[str, FlatProperty]
    children: list[FlatNode]


def _build(view: memoryview, tokens: tuple[Token, ...], *, lenient: bool) -> FlatNode:
    """Check the nesting of the tags and return the root node."""
    stack: list[_Open] = []
    root: FlatNode | None = None
    for token in tokens:
        where = f"device tree at offset {token.start}"
        if token.tag is Tag.END:
            continue
        if root is not None:
            raise FormatError(f"{where}: something follows the root node", hint=_TWO_ROOTS)
        if token.tag is Tag.BEGIN_NODE:
            stack.append(_Open(token, _child_path(stack, token.name, where), {}, []))
            continue
        if not stack:
            raise FormatError(f"{where}: {token.tag.name} comes before the root node")
        top = stack[-1]
        if token.tag is Tag.PROP:
            _add_property(top, token, view, where, lenient=lenient)
        elif token.tag is Tag.END_NODE:
            stack.pop()
            node = FlatNode(
                name=top.token.name,
                path=top.path,
                start=top.token.start,
                end=token.end,
                properties=top.properties,
                children=tuple(top.children),
            )
            if stack:
                stack[-1].children.append(node)
            else:
                root = node
    if root is None:
        raise FormatError("device tree: the root node has no end")
    return root


def _add_property(top: _Open, token: Token, view: memoryview, where: str, *, lenient: bool) -> None:
    if lenient and (top.children or token.name in top.properties):
        return
    if top.children:
        raise FormatError(f"{where}: property {token.name!r} of {top.path} follows a child node")
    if token.name in top.properties:
        raise FormatError(f"{where}: {top.path} has two properties called {token.name!r}")
    value = view[token.value : token.value + token.size]
    top.properties[token.name] = FlatProperty(value=value, offset=token.value)


def _child_path(stack: list[_Open], name: str, where: str) -> str:
    if not stack:
        if name:
            message = f"{where}: the root node is called {name!r}, expected no name"
            raise FormatError(message, hint=_TWO_ROOTS)
        return "/"
    if not name:
        raise FormatError(f"{where}: a child of {stack[-1].path} has no name")
    if len(stack) >= MAX_DEPTH:
        raise FormatError(f"{where}: nodes are nested more than {MAX_DEPTH} deep")
    parent = stack[-1].path
    if len(parent) + len(name) + 2 >= MAX_PATH:
        raise FormatError(f"{where}: the path of a node reaches {MAX_PATH} characters")
    return f"{parent.rstrip('/')}/{name}"
