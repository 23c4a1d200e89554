# SPDX-License-Identifier: MIT
"""The device tree reader, writer and editor."""

from __future__ import annotations

import struct
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fdt.read import MAX_DEPTH
from bootseal.formats.fdt.scan import MAX_TAGS

NAMES = st.text("abcxyz019,._+-@", min_size=1, max_size=12)
PROPERTIES = st.dictionaries(NAMES, st.binary(max_size=40), max_size=4)


def unique(children: list[fdt.Node]) -> list[fdt.Node]:
    return list({child.name: child for child in children}.values())


NODES = st.recursive(
    st.builds(fdt.Node, NAMES, PROPERTIES),
    lambda inner: st.builds(fdt.Node, NAMES, PROPERTIES, st.lists(inner, max_size=3).map(unique)),
    max_leaves=8,
)
TREES = st.builds(fdt.Node, st.just(""), PROPERTIES, st.lists(NODES, max_size=3).map(unique))
RESERVATIONS = st.lists(st.tuples(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=3)


def sample() -> bytes:
    kernel = fdt.Node("kernel-1", {"data": b"payload!", "type": b"kernel\0"}, [fdt.Node("hash-1")])
    root = fdt.Node("", {"description": b"x\0"}, [fdt.Node("images", {}, [kernel])])
    return fdt.emit(root)


def patched(data: bytes, offset: int, value: int) -> bytes:
    return data[:offset] + struct.pack(">I", value) + data[offset + 4 :]


@settings(deadline=None)
@given(TREES, RESERVATIONS, st.integers(0, 2**32 - 1))
def test_parse_of_emit_gives_the_tree_again(
    root: fdt.Node, reservations: list[tuple[int, int]], cpu: int
) -> None:
    data = fdt.emit(root, reservations=reservations, boot_cpuid=cpu)
    flat = fdt.read(data)
    assert fdt.parse(data) == root
    assert list(flat.reservations) == reservations
    assert flat.header.boot_cpuid == cpu


@settings(deadline=None)
@given(TREES)
def test_rewrite_without_change_gives_the_same_bytes(root: fdt.Node) -> None:
    data = fdt.emit(root)
    assert fdt.rewrite(data, lambda _: None) == data


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_tree_or_a_format_error(data: bytes) -> None:
    with suppress(FormatError):
        fdt.read(data)


@settings(deadline=None)
@given(TREES, st.data())
def test_damaged_tree_gives_a_tree_or_a_format_error(root: fdt.Node, data: st.DataObject) -> None:
    good = bytearray(fdt.emit(root))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        fdt.read(good)


@settings(deadline=None)
@given(TREES)
def test_every_truncation_is_refused(root: fdt.Node) -> None:
    data = fdt.emit(root)
    for size in range(0, len(data), 7):
        with pytest.raises(FormatError):
            fdt.read(data[:size])


def test_property_offset_points_at_its_value() -> None:
    data = sample()
    node = fdt.read(data).find("/images/kernel-1")
    assert node is not None
    offset = node.properties["data"].offset
    assert data[offset : offset + 8] == b"payload!"


def test_reading_a_large_property_copies_nothing() -> None:
    data = fdt.emit(fdt.Node("", {"data": bytes(1 << 20)}))
    flat = fdt.read(data)
    assert flat.root.properties["data"].value.obj is data
    assert sys.getsizeof(flat.strings) < 100


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        pytest.param(0, 0x27051956, "magic", id="magic"),
        pytest.param(4, 1 << 30, "total size", id="total size beyond the file"),
        pytest.param(4, 44, "overlap", id="total size inside the blocks"),
        pytest.param(8, 58, "aligned", id="structure not aligned"),
        pytest.param(8, 40, "overlap", id="structure over the reservations"),
        pytest.param(12, 60, "overlap", id="strings inside the structure"),
        pytest.param(16, 8, "overlap", id="reservations inside the header"),
        pytest.param(20, 16, "version", id="version 16"),
        pytest.param(20, 18, "version", id="version 18"),
        pytest.param(24, 17, "version", id="last compatible 17"),
        pytest.param(32, 1 << 20, "overlap", id="strings too long"),
        pytest.param(36, 4, "no end", id="structure too short"),
        pytest.param(56, 7, "unknown tag", id="unknown tag"),
        pytest.param(64, 9, "END tag", id="early END"),
        pytest.param(68, 1 << 20, "does not fit", id="property too long"),
        pytest.param(72, 1 << 20, "no end", id="name outside the strings"),
        pytest.param(60, 0x66000000, "expected no name", id="root with a name"),
    ],
)
def test_damaged_field_is_refused_for_its_reason(offset: int, value: int, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        fdt.read(patched(sample(), offset, value))


def test_padding_of_a_node_name_that_is_not_zero_is_refused() -> None:
    data = bytearray(fdt.emit(fdt.Node("", {}, [fdt.Node("a")])))
    data[data.index(b"a\0\0\0") + 3] = 1
    with pytest.raises(FormatError, match="padding"):
        fdt.read(data)


def test_second_root_is_refused() -> None:
    flat = fdt.read(sample())
    begin = flat.header.off_struct
    structure = bytes(flat.data[begin : begin + flat.header.size_struct])
    evil = fdt.encode_begin("f@keroot") + struct.pack(">I", 2)
    data = fdt.assemble(bytes(16), structure[:-4] + evil + structure[-4:], flat.strings)
    with pytest.raises(FormatError, match="follows the root"):
        fdt.read(data)


def test_leading_nop_is_refused() -> None:
    structure = struct.pack(">I", 4) + fdt.encode_begin("") + struct.pack(">II", 2, 9)
    with pytest.raises(FormatError, match="before the root"):
        fdt.read(fdt.assemble(bytes(16), structure, b""))


def test_property_after_a_child_is_refused() -> None:
    strings = bytearray()
    first = fdt.encode_begin("") + fdt.encode_begin("a") + struct.pack(">I", 2)
    structure = first + fdt.encode_property("p", b"", strings) + struct.pack(">II", 2, 9)
    with pytest.raises(FormatError, match="follows a child"):
        fdt.read(fdt.assemble(bytes(16), structure, strings))


def test_same_property_twice_is_refused() -> None:
    strings = bytearray()
    twice = fdt.encode_property("p", b"", strings) * 2
    structure = fdt.encode_begin("") + twice + struct.pack(">II", 2, 9)
    with pytest.raises(FormatError, match="two properties"):
        fdt.read(fdt.assemble(bytes(16), structure, strings))


def test_same_child_twice_is_read_and_not_parsed() -> None:
    data = fdt.emit(fdt.Node("", {}, [fdt.Node("a"), fdt.Node("a")]))
    assert len(fdt.read(data).root.children) == 2
    with pytest.raises(FormatError, match="two children called 'a'"):
        fdt.parse(data)


def nested(depth: int, name: str = "n") -> bytes:
    node = fdt.Node(name)
    for _ in range(depth - 2):
        node = fdt.Node(name, {}, [node])
    return fdt.emit(fdt.Node("", {}, [node]))


def test_nesting_up_to_the_limit_is_read() -> None:
    fdt.read(nested(MAX_DEPTH))


def test_nesting_beyond_the_limit_is_refused() -> None:
    with pytest.raises(FormatError, match="nested"):
        fdt.read(nested(MAX_DEPTH + 1))


def test_path_beyond_the_limit_is_refused() -> None:
    fdt.read(fdt.emit(fdt.Node("", {}, [fdt.Node("n" * 196)])))
    with pytest.raises(FormatError, match="path"):
        fdt.read(fdt.emit(fdt.Node("", {}, [fdt.Node("n" * 197)])))


def test_too_many_tags_are_refused() -> None:
    structure = fdt.encode_begin("") + struct.pack(">I", 4) * MAX_TAGS + struct.pack(">II", 2, 9)
    with pytest.raises(FormatError, match="tags"):
        fdt.read(fdt.assemble(bytes(16), structure, b""))


def test_find_string_takes_the_tail_of_a_longer_name() -> None:
    strings = bytearray(b"data-size\0")
    fdt.encode_property("size", b"", strings)
    assert strings == b"data-size\0"


def test_new_property_becomes_the_first_one() -> None:
    editor = Editor(sample())
    editor.set_property("/images/kernel-1", "load", bytes(4))
    node = fdt.parse(editor.to_bytes()).find("/images/kernel-1")
    assert node is not None
    assert list(node.properties) == ["load", "data", "type"]


def test_old_property_is_resized_in_place() -> None:
    editor = Editor(sample())
    editor.set_property("/images/kernel-1", "data", b"longer than before")
    node = fdt.parse(editor.to_bytes()).find("/images/kernel-1")
    assert node is not None
    assert next(iter(node.properties.items())) == ("data", b"longer than before")


def test_new_node_becomes_the_first_child() -> None:
    editor = Editor(sample())
    editor.add_node("/", "signature")
    editor.add_node("/signature", "key-a")
    root = fdt.parse(editor.to_bytes())
    assert [child.name for child in root.children] == ["signature", "images"]
    assert root.find("/signature/key-a") == fdt.Node("key-a")


def test_editing_a_missing_node_is_refused() -> None:
    with pytest.raises(FormatError, match="/images/none"):
        Editor(sample()).set_property("/images/none", "a", b"")


def test_editor_fills_with_zeros_up_to_the_size() -> None:
    data = sample()
    grown = Editor(data).to_bytes(len(data) + 100)
    assert grown.endswith(bytes(100))
    assert fdt.parse(grown) == fdt.parse(data)
