# SPDX-License-Identifier: MIT
"""Finding the control device tree in boot loaders, also in ELF files."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.errors import FormatError, UsageError
from bootseal.findings.model import Severity
from bootseal.fit import control_dtb
from bootseal.fit.boot_loader import check_gate, locate
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from bootseal.keys.signers.file import FileSigner

TREE = fdt.emit(fdt.Node("", {"model": b"board\0"}))
CODE = b"code \xd0\x0d\xfe\xed and more code".ljust(64, b"\x90")
BASE = 0x40000000


def elf(
    content: bytes,
    *,
    symbols: tuple[int, ...] = (),
    section: tuple[int, int] | None = None,
) -> bytes:
    """Make an ELF64 file of one loaded segment; places are offsets in `content`."""
    start = 64 + 56
    names = b"\0.dtb.init.rodata\0.symtab\0.strtab\0.shstrtab\0.text\0"
    strings = b"\0__dtb_dt_begin\0__dtb_dt_end\0"
    table = bytes(24)
    for name, place in zip((1, 16), symbols, strict=False):
        table += struct.pack("<IBBHQQ", name, 0x10, 0, 1, BASE + place, 0)
    offsets = [start, start + len(content)]
    offsets += [offsets[1] + len(table), offsets[1] + len(table) + len(strings)]
    body = content + table + strings + names
    place, size = section or (0, 0)

    def header(name: int, kind: int, address: int, offset: int, size: int, link: int) -> bytes:
        entry = 24 if kind == 2 else 0
        return struct.pack("<IIQQQQIIQQ", name, kind, 2, address, offset, size, link, 0, 1, entry)

    sections = [
        bytes(64),
        header(44, 1, BASE, start, len(content), 0),
        header(18, 2, 0, offsets[1], len(table), 3),
        header(26, 3, 0, offsets[2], len(strings), 0),
        header(34, 3, 0, offsets[3], len(names), 0),
        header(1 if section else 0, 1, 0, start + place, size, 0),
    ]
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    count = len(sections)
    head = struct.pack(
        "<HHIQQQIHHHHHH", 2, 183, 1, BASE, 64, start + len(body), 0, 64, 56, 1, 64, count, 4
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, start, BASE, BASE, len(content), len(content), 4)
    return ident + head + segment + body + b"".join(sections)


def test_tree_between_symbols_is_found() -> None:
    """OF_EMBED: the tree is somewhere in the middle, and another one behind it."""
    content = CODE + TREE + CODE + fdt.emit(fdt.Node("", {"model": b"other\0"}))
    data = elf(content, symbols=(len(CODE), len(CODE) + len(TREE)))
    start, end = locate(data)
    assert data[start:end] == TREE


def test_tree_in_its_section_is_found() -> None:
    data = elf(CODE + TREE + CODE, section=(len(CODE), len(TREE)))
    start, end = locate(data)
    assert data[start:end] == TREE


def test_tree_at_the_end_of_a_segment_is_found() -> None:
    """u-boot.elf holds a whole u-boot.bin."""
    data = elf(CODE + TREE + bytes(8))
    start, end = locate(data)
    assert data[start:end] == TREE


def test_keys_are_read_from_an_elf_file_but_not_put_into_it(
    control: bytes, signer: FileSigner
) -> None:
    data = elf(CODE + control)
    assert control_dtb.read_keys(data) == control_dtb.read_keys(control)
    with pytest.raises(UsageError, match="an ELF file has no room for keys"):
        control_dtb.add_key(data, signer.public_key, hint="x", algorithm="sha256,rsa2048")


def test_elf_file_without_tree_is_refused() -> None:
    with pytest.raises(FormatError, match="no device tree found"):
        locate(elf(CODE + TREE + CODE))


def test_boot_loader_without_gate_is_warned_of() -> None:
    found = check_gate(CODE + TREE)
    assert [(f.id, f.severity) for f in found] == [("fit.no-gate", Severity.WARNING)]


def test_gate_is_found_in_flat_and_elf_files_and_not_expected_of_a_tree() -> None:
    gated = CODE + b"bootseal gate 1\0" + TREE
    assert check_gate(gated) == check_gate(elf(gated)) == check_gate(TREE) == ()


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_damaged_elf_file_gives_a_place_or_a_format_error(data: st.DataObject) -> None:
    damaged = bytearray(elf(CODE + TREE, symbols=(len(CODE), len(CODE) + len(TREE))))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(4, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(5, len(damaged)))
    try:
        start, end = locate(bytes(damaged[:cut]))
    except FormatError:
        return
    assert 0 <= start < end <= cut
