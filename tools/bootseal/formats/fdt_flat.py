# SPDX-License-Identifier: MIT
"""Reads flattened device trees: strict, bounded and without copies.

All integers in the format are big-endian. The reader walks the tags with a loop and fixed limits,
so no input can exhaust the stack, and it never copies property values: a 256 MiB FIT costs as much
as a small one. Offsets are absolute file offsets in bytes, so that a caller can point at, or
change, any byte of the file.

Spec: Devicetree Specification v0.4, chapter 5.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from bootseal.errors import FormatError
from bootseal.units import align_up

if TYPE_CHECKING:
    from collections.abc import Iterator

Buffer: TypeAlias = bytes | bytearray | memoryview

MAGIC: Final = 0xD00DFEED
VERSION: Final = 17
LAST_COMPATIBLE: Final = 16

# U-Boot refuses to sign or verify beyond these two (boot/fdt_region.c, boot/image-fit-sig.c).
MAX_DEPTH: Final = 32
MAX_PATH: Final = 200
MAX_TAGS: Final = 1 << 18
_MAX_NAME: Final = 256

_HEADER: Final = struct.Struct(">10I")
HEADER_SIZE: Final = _HEADER.size
_PAIR: Final = struct.Struct(">QQ")
_WORD: Final = struct.Struct(">I")
_PROPERTY: Final = struct.Struct(">III")
_NAME: Final = re.compile(rb"[!-.0-~]+")


class Tag(IntEnum):
    """The tags of the structure block."""

    BEGIN_NODE = 1
    END_NODE = 2
    PROP = 3
    NOP = 4
    END = 9


_BARE: Final = frozenset({Tag.END_NODE, Tag.NOP, Tag.END})


class Token(NamedTuple):
    """One tag with everything that belongs to it.

    Attributes:
        tag: What it is.
        start: Offset of the tag.
        end: Offset behind its padding.
        name: Name of the node or property, else empty.
        value: Offset of a property's value, else 0.
        size: Size of a property's value in bytes, without padding.
    """

    tag: Tag
    start: int
    end: int
    name: str = ""
    value: int = 0
    size: int = 0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatProperty:
    """A property as it lies in the file: a view of its value and the value's offset."""

    value: memoryview
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatNode:
    """A node as it lies in the file; `start` is its BEGIN_NODE tag, `end` follows its END_NODE."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
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


def read(data: Buffer) -> Flat:
    """Check a flattened tree and describe it without copying property values.

    Bytes behind the size in the header are ignored; siblings of the same name are kept, so that a
    verifier can report them.

    Args:
        data: A tree at offset 0. It must not change while the result is in use.

    Raises:
        FormatError: The bytes break the format or a limit; the message names the offset.
    """
    view = memoryview(data).toreadonly()[: total_size(data)]
    header = _read_header(view)
    reservations, reservations_end = _read_reservations(view, header)
    strings = bytes(view[header.off_strings : header.off_strings + header.size_strings])
    tokens = scan(view, header.off_struct, header.off_struct + header.size_struct, strings)
    return Flat(
        data=view,
        header=header,
        reservations=reservations,
        reservations_end=reservations_end,
        strings=strings,
        tokens=tokens,
        root=_build(view, tokens),
    )


def scan(data: Buffer, start: int, end: int, strings: bytes) -> tuple[Token, ...]:
    """Split a structure block into tags, without looking at their nesting.

    Args:
        data: The bytes that hold the block.
        start: Offset of the block.
        end: Offset behind the block.
        strings: The strings block.

    Raises:
        FormatError: A tag is unknown or cut off, a name is not printable ASCII without a slash or
            not padded with zeros, or the END tag is not the last one.
    """
    tokens: list[Token] = []
    position = start
    while position < end:
        if len(tokens) == MAX_TAGS:
            raise FormatError(f"device tree at offset {position}: more than {MAX_TAGS} tags")
        token = _scan_one(data, position, end, strings)
        tokens.append(token)
        position = token.end
        if token.tag is Tag.END:
            break
    if position != end or not tokens or tokens[-1].tag is not Tag.END:
        raise FormatError(f"device tree at offset {position}: the END tag is not at offset {end}")
    return tuple(tokens)


def _scan_one(data: Buffer, start: int, end: int, strings: bytes) -> Token:
    (number,) = _WORD.unpack_from(data, start)
    if number == Tag.PROP:
        return _scan_property(data, start, end, strings)
    body = start + _WORD.size
    if number != Tag.BEGIN_NODE:
        if number not in _BARE:
            raise FormatError(f"device tree at offset {start}: unknown tag {number:#x}")
        return Token(Tag(number), start, body)
    length = bytes(data[body : min(body + _MAX_NAME, end)]).find(b"\0")
    if length < 0:
        raise FormatError(f"device tree at offset {body}: the node name has no end")
    name = _check_name(data[body : body + length], body) if length else ""
    after = _aligned(body + length + 1, end)
    if any(data[body + length : after]):
        raise FormatError(f"device tree at offset {body + length}: the padding is not zero")
    return Token(Tag.BEGIN_NODE, start, after, name)


def _scan_property(data: Buffer, start: int, end: int, strings: bytes) -> Token:
    body = start + _PROPERTY.size
    if body > end:
        raise FormatError(f"device tree at offset {start}: the property is cut off")
    _, size, offset = _PROPERTY.unpack_from(data, start)
    if size > end - body:
        raise FormatError(
            f"device tree at offset {start}: a property of {size} bytes does not fit into the "
            f"{end - body} bytes that are left of the structure block"
        )
    length = strings.find(b"\0", offset, offset + _MAX_NAME) - offset
    if length < 0:
        raise FormatError(
            f"device tree at offset {start + 8}: the property name at {offset} of the strings "
            f"block ({len(strings)} bytes) has no end"
        )
    name = _check_name(strings[offset : offset + length], start + 8)
    # The padding behind a value is not checked: libfdt leaves there what was there before.
    return Token(Tag.PROP, start, _aligned(body + size, end), name, body, size)


def _check_name(view: Buffer, offset: int) -> str:
    raw = bytes(view)
    if _NAME.fullmatch(raw) is None:
        raise FormatError(
            f"device tree at offset {offset}: the name {raw!r} is not printable ASCII without "
            "slashes"
        )
    return raw.decode("ascii")


def _aligned(end: int, limit: int) -> int:
    after = align_up(end, 4)
    if after > limit:
        raise FormatError(f"device tree at offset {end}: the structure block is cut off")
    return after


def _read_header(view: memoryview) -> Header:
    header = Header(*_HEADER.unpack_from(view))
    if (header.version, header.last_compatible) != (VERSION, LAST_COMPATIBLE):
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


@dataclass(slots=True)
class _Open:
    """A node whose END_NODE tag has not been seen yet."""

    token: Token
    path: str
    properties: dict[str, FlatProperty] = field(default_factory=dict)
    children: list[FlatNode] = field(default_factory=list)


def _build(view: memoryview, tokens: tuple[Token, ...]) -> FlatNode:
    """Check the nesting of the tags and return the root node."""
    stack: list[_Open] = []
    root: FlatNode | None = None
    for token in tokens:
        where = f"device tree at offset {token.start}"
        if token.tag is Tag.END:
            continue
        if root is not None:
            raise FormatError(f"{where}: something follows the root node")
        if token.tag is Tag.BEGIN_NODE:
            stack.append(_Open(token, _child_path(stack, token.name, where)))
            continue
        if not stack:
            raise FormatError(f"{where}: {token.tag.name} stands before the root node")
        top = stack[-1]
        if token.tag is Tag.PROP:
            _add_property(top, token, view, where)
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


def _add_property(top: _Open, token: Token, view: memoryview, where: str) -> None:
    if top.children:
        raise FormatError(f"{where}: property {token.name!r} of {top.path} follows a child node")
    if token.name in top.properties:
        raise FormatError(f"{where}: {top.path} has two properties called {token.name!r}")
    value = view[token.value : token.value + token.size]
    top.properties[token.name] = FlatProperty(value=value, offset=token.value)


def _child_path(stack: list[_Open], name: str, where: str) -> str:
    if not stack:
        if name:
            raise FormatError(f"{where}: the root node is called {name!r}, expected no name")
        return "/"
    if not name:
        raise FormatError(f"{where}: a child of {stack[-1].path} has no name")
    if len(stack) >= MAX_DEPTH:
        raise FormatError(f"{where}: nodes are nested more than {MAX_DEPTH} deep")
    parent = stack[-1].path
    if len(parent) + len(name) + 2 >= MAX_PATH:
        raise FormatError(f"{where}: the path of a node reaches {MAX_PATH} characters")
    return f"{parent.rstrip('/')}/{name}"
