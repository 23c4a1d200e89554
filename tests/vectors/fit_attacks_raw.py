# SPDX-License-Identifier: MIT
"""Attacks on a FIT below the level of nodes and properties: header, tags, blocks.

Spec: Devicetree Specification v0.4, chapter 5.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.scan import Tag

if TYPE_CHECKING:
    from collections.abc import Callable

_WORD: Final = struct.Struct(">I")
_FIELDS: Final = {
    "total_size": 4,
    "off_struct": 8,
    "off_strings": 12,
    "version": 20,
    "last_compatible": 24,
    "boot_cpuid": 28,
}
_NOP: Final = _WORD.pack(Tag.NOP)


def header(**fields: int) -> Callable[[bytes], bytes]:
    """Return an attack that sets words of the header."""

    def change(fit: bytes) -> bytes:
        result = bytearray(fit)
        for name, value in fields.items():
            _WORD.pack_into(result, _FIELDS[name], value)
        return bytes(result)

    return change


def fake_root(fit: bytes) -> bytes:
    """Put a root node of the attacker in front of the genuine one."""
    start, end, flat = _structure(fit)
    evil = fdt.encode_begin("f@keroot") + _WORD.pack(Tag.END_NODE)
    return _with_structure(flat, evil + fit[start:end])


def leading_nop(fit: bytes) -> bytes:
    """Put a NOP in front of the root node."""
    start, end, flat = _structure(fit)
    return _with_structure(flat, _NOP + fit[start:end])


def nop(path: str) -> Callable[[bytes], bytes]:
    """Return an attack that puts a NOP behind the name of a node."""

    def change(fit: bytes) -> bytes:
        start, end, flat = _structure(fit)
        node = flat.find(path)
        if node is None:
            raise KeyError(path)
        place = node.start + len(fdt.encode_begin(node.name))
        return _with_structure(flat, fit[start:place] + _NOP + fit[place:end])

    return change


def reservation(fit: bytes) -> bytes:
    """Add a memory reservation."""
    flat = fdt.read(fit)
    return fdt.emit(fdt.thaw(flat.root), strings=flat.strings, reservations=[(4096, 4096)])


def gap_before_strings(fit: bytes) -> bytes:
    """Move the strings away from the structure block."""
    flat = fdt.read(fit)
    place = flat.header.off_strings
    moved = fit[:place] + bytes(8) + fit[place:]
    return header(total_size=flat.header.total_size + 8, off_strings=place + 8)(moved)


def hidden_slack(fit: bytes) -> bytes:
    """Hide bytes inside the tree, behind the strings."""
    hidden = b"hidden!!"
    return header(total_size=len(fit) + len(hidden))(fit + hidden)


def overlapping_strings(fit: bytes) -> bytes:
    """Let the strings block begin inside the structure block."""
    return header(off_strings=fdt.read(fit).header.off_strings - 4)(fit)


def rename_first_string(fit: bytes) -> bytes:
    """Change one letter of the first property name, which is signed."""
    place = fdt.read(fit).header.off_strings
    return fit[:place] + bytes([fit[place] ^ 1]) + fit[place + 1 :]


def deep(depth: int) -> Callable[[bytes], bytes]:
    """Return an attack that nests nodes in front of the images."""

    def change(fit: bytes) -> bytes:
        start, end, flat = _structure(fit)
        images = flat.root.children[0]
        nested = fdt.encode_begin("n") * depth + _WORD.pack(Tag.END_NODE) * depth
        return _with_structure(flat, fit[start : images.start] + nested + fit[images.start : end])

    return change


def _structure(fit: bytes) -> tuple[int, int, fdt.Flat]:
    flat = fdt.read(fit)
    start = flat.header.off_struct
    return start, start + flat.header.size_struct, flat


def _with_structure(flat: fdt.Flat, structure: bytes) -> bytes:
    return fdt.assemble(bytes(16), structure, flat.strings)
