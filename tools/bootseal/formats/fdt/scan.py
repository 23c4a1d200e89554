# SPDX-License-Identifier: MIT
"""Splits the structure block of a flattened device tree into its tags.

The walk is a loop with a fixed limit and looks at no property value. It can be strict, or `lenient`
where U-Boot's libfdt is: then names may hold any byte but a slash, and what pads them too.

Spec: Devicetree Specification v0.4, section 5.4.
"""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from bootseal.errors import FormatError
from bootseal.units import align_up

Buffer: TypeAlias = bytes | bytearray | memoryview

MAX_TAGS: Final = 1 << 18
_MAX_NAME: Final = 256
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
    """One tag with its data.

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


def scan(
    data: Buffer, start: int, end: int, strings: bytes, *, lenient: bool = False
) -> tuple[Token, ...]:
    """Split a structure block into tags, ignoring their nesting.

    Args:
        data: The bytes that hold the block.
        start: Offset of the block.
        end: Offset behind the block.
        strings: The strings block.
        lenient: Take names and padding as libfdt does.

    Raises:
        FormatError: A tag is unknown or cut off, a name is not printable ASCII without a slash or
            not padded with zeros, or the END tag is not the last one.
    """
    tokens: list[Token] = []
    position = start
    while position < end:
        if len(tokens) == MAX_TAGS:
            raise FormatError(f"device tree at offset {position}: more than {MAX_TAGS} tags")
        token = _scan_one(data, position, end, strings, lenient=lenient)
        tokens.append(token)
        position = token.end
        if token.tag is Tag.END:
            break
    if position != end or not tokens or tokens[-1].tag is not Tag.END:
        raise FormatError(f"device tree at offset {position}: the END tag is not at offset {end}")
    return tuple(tokens)


def _scan_one(data: Buffer, start: int, end: int, strings: bytes, *, lenient: bool) -> Token:
    (number,) = _WORD.unpack_from(data, start)
    if number == Tag.PROP:
        return _scan_property(data, start, end, strings, lenient=lenient)
    body = start + _WORD.size
    if number != Tag.BEGIN_NODE:
        if number not in _BARE:
            raise FormatError(f"device tree at offset {start}: unknown tag {number:#x}")
        return Token(Tag(number), start, body)
    length = bytes(data[body : min(body + _MAX_NAME, end)]).find(b"\0")
    if length < 0:
        raise FormatError(f"device tree at offset {body}: the node name has no end")
    name = _check_name(data[body : body + length], body, lenient=lenient) if length else ""
    after = _aligned(body + length + 1, end)
    if any(data[body + length : after]) and not lenient:
        raise FormatError(f"device tree at offset {body + length}: the padding is not zero")
    return Token(Tag.BEGIN_NODE, start, after, name)


def _scan_property(data: Buffer, start: int, end: int, strings: bytes, *, lenient: bool) -> Token:
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
    name = _check_name(strings[offset : offset + length], start + 8, lenient=lenient)
    # The padding behind a value is not checked: libfdt leaves there what was there before.
    return Token(Tag.PROP, start, _aligned(body + size, end), name, body, size)


def _check_name(view: Buffer, offset: int, *, lenient: bool) -> str:
    raw = bytes(view)
    if _NAME.fullmatch(raw) is None and (b"/" in raw or not lenient):
        raise FormatError(
            f"device tree at offset {offset}: the name {raw!r} is not printable ASCII without "
            "slashes"
        )
    return raw.decode("latin-1")


def _aligned(end: int, limit: int) -> int:
    after = align_up(end, 4)
    if after > limit:
        raise FormatError(f"device tree at offset {end}: the structure block is cut off")
    return after
