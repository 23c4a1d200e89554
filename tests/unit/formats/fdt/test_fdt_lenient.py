# SPDX-License-Identifier: MIT
"""What a lenient reading takes beyond a strict one, and what neither takes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.scan import Tag

if TYPE_CHECKING:
    from collections.abc import Callable

WORD = struct.Struct(">I")
END = WORD.pack(Tag.END_NODE)
HEADER_VERSION, HEADER_COMPATIBLE = 20, 24


def sample() -> bytes:
    inner = fdt.Node("inner", {"first": b"one\0"}, [fdt.Node("deep")])
    return fdt.emit(fdt.Node("", {"name": b"x\0"}, [inner]))


def header(**words: int) -> bytes:
    data = bytearray(sample())
    places = {"version": HEADER_VERSION, "compatible": HEADER_COMPATIBLE}
    for name, value in words.items():
        WORD.pack_into(data, places[name], value)
    return bytes(data)


def renamed(old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return sample().replace(old, new)


def late_property() -> bytes:
    """Put a property of the root behind its child."""
    flat = fdt.read(sample())
    table = bytearray(flat.strings)
    late = fdt.encode_property("late", b"x", table)
    start = flat.header.off_struct
    last = flat.tokens[-2].start
    end = start + flat.header.size_struct
    return fdt.assemble(bytes(16), sample()[start:last] + late + sample()[last:end], table)


def double_property() -> bytes:
    flat = fdt.read(sample())
    table = bytearray(flat.strings)
    twice = fdt.encode_property("first", b"two\0", table)
    inner = flat.find("/inner/deep")
    assert inner is not None
    start = flat.header.off_struct
    end = start + flat.header.size_struct
    structure = sample()[start : inner.start] + twice + sample()[inner.start : end]
    return fdt.assemble(bytes(16), structure, table)


def padded_name() -> bytes:
    place = sample().index(b"inner\0\0\0")
    return sample()[: place + 7] + b"x" + sample()[place + 8 :]


TAKEN = {
    "version 16": lambda: header(version=16),
    "version 255": lambda: header(version=255),
    "compatible with 17": lambda: header(compatible=17),
    "compatible with 1": lambda: header(compatible=1),
    "a node name that is not ASCII": lambda: renamed(b"inner\0", b"inn\xc3\xa9\0"),
    "a property name with a control character": lambda: renamed(b"first\0", b"fi\x1bst\0"),
    "a property behind a child": late_property,
    "a property that comes twice": double_property,
    "padding of a name that is not zero": padded_name,
}
REFUSED = {
    "version 15": lambda: header(version=15, compatible=15),
    "compatible with 18": lambda: header(version=18, compatible=18),
    "version lower than what it is compatible with": lambda: header(version=16, compatible=17),
    "a slash in a node name": lambda: renamed(b"inner\0", b"in/er\0"),
    "a slash in a property name": lambda: renamed(b"first\0", b"fi/st\0"),
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN.keys())
def test_only_a_lenient_reading_takes(make: Callable[[], bytes]) -> None:
    with pytest.raises(FormatError):
        fdt.read(make())
    fdt.read(make(), lenient=True)


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_no_reading_takes(make: Callable[[], bytes]) -> None:
    for lenient in (False, True):
        with pytest.raises(FormatError):
            fdt.read(make(), lenient=lenient)


def test_libfdt_finds_the_first_of_two_properties() -> None:
    node = fdt.read(double_property(), lenient=True).find("/inner")
    assert node is not None
    assert node.value("first") == b"one\0"


def test_libfdt_does_not_find_a_late_property() -> None:
    flat = fdt.read(late_property(), lenient=True)
    assert "late" not in flat.root.properties
    assert "late" in [token.name for token in flat.tokens]


@settings(deadline=None)
@given(st.data())
def test_strict_reading_takes_nothing_a_lenient_one_refuses(data: st.DataObject) -> None:
    damaged = bytearray(sample())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        strict = fdt.read(bytes(damaged))
    except FormatError:
        return
    assert fdt.read(bytes(damaged), lenient=True).root == strict.root
