# SPDX-License-Identifier: MIT
"""Which kind of device tree some bytes are, by the names in it.

This walk stops as soon as it knows, reads at most `MAX_TAGS` tags and never fails: a tree that it
cannot follow is `Kind.TREE`, and what is wrong with it is for its reader to say.

Spec: Devicetree Specification v0.4, chapter 5; U-Boot doc/usage/fit/source_file_format.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from bootseal.formats.fdt.scan import Buffer, Tag
from bootseal.formats.kinds.kind import Kind
from bootseal.units import align_up

MAGIC: Final = bytes.fromhex("d00dfeed")
MAX_TAGS: Final = 1 << 16

_MAX_NAME: Final = 256
_HEADER: Final = struct.Struct(">4I")
_WORD: Final = struct.Struct(">I")
_PAIR: Final = struct.Struct(">II")
_UBOOT: Final = b"u-boot\0"
_BOARD: Final = frozenset({"compatible", "model"})
# A signature in front of the images does not make a FIT the device tree of a U-Boot.
_ORDER: Final = (Kind.UBOOT_FIT, Kind.FIT, Kind.CONTROL_TREE, Kind.OVERLAY, Kind.BOARD_TREE)
_NODES: Final = {
    (1, "images"): Kind.FIT,
    (1, "signature"): Kind.CONTROL_TREE,
    (1, "__fixups__"): Kind.OVERLAY,
}


def recognise(data: Buffer) -> Kind:
    """Say which kind of device tree this is; `data` begins with its magic number."""
    found: set[Kind] = set()
    try:
        found.update(_signs(data))
    except (struct.error, ValueError):
        # What is missing behind its images does not change what a FIT is.
        found &= {Kind.FIT, Kind.UBOOT_FIT}
    return next((kind for kind in _ORDER if kind in found), Kind.TREE)


def _signs(data: Buffer) -> Iterator[Kind]:
    """Yield the kind that each name in a tree suggests, until one is certain."""
    inside = ""
    for depth, node, name, value in _walk(data):
        if depth == 1 and not name:
            if inside == "images":
                return
            inside = node
        if not name and (depth, node) in _NODES:
            yield _NODES[depth, node]
        elif not name and node == "__overlay__":
            yield Kind.OVERLAY
        elif depth == 0 and name in _BOARD:
            yield Kind.BOARD_TREE
        elif inside == "images" and name == "os" and value == _UBOOT:
            yield Kind.UBOOT_FIT
            return


def _walk(data: Buffer) -> Iterator[tuple[int, str, str, bytes]]:
    """Yield depth and name of each node, and with them each property's name and short value.

    Raises:
        ValueError: The structure is not one.
        struct.error: It is cut off.
    """
    _, _, position, strings = _HEADER.unpack_from(data)
    names: list[str] = []
    for _ in range(MAX_TAGS):
        (tag,) = _WORD.unpack_from(data, position)
        position += _WORD.size
        if tag == Tag.BEGIN_NODE:
            name = _text(data, position)
            position = align_up(position + len(name) + 1, 4)
            names.append(name)
            yield len(names) - 1, name, "", b""
        elif tag == Tag.PROP:
            size, offset = _PAIR.unpack_from(data, position)
            position += _PAIR.size
            if names:
                value = bytes(data[position : position + min(size, len(_UBOOT) + 1)])
                yield len(names) - 1, names[-1], _text(data, strings + offset), value
            position = align_up(position + size, 4)
        elif tag == Tag.END_NODE and names:
            names.pop()
        elif tag != Tag.NOP:
            return


def _text(data: Buffer, start: int) -> str:
    raw = bytes(data[start : start + _MAX_NAME])
    return raw[: raw.index(b"\0")].decode("latin-1")
