# SPDX-License-Identifier: MIT
from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats import erofs

BLOCK = 4096
DIRECTORY, FILE, LINK = 0o040755, 0o100644, 0o120777


def inode(mode: int, size: int, block: int) -> bytes:
    return struct.pack("<HHHHIIIIHHI", 0, 0, mode, 1, size, 0, block, 0, 7, 8, 0)


def directory(entries: list[tuple[bytes, int]]) -> bytes:
    at, heads, names = 12 * len(entries), b"", b""
    for name, number in entries:
        heads += struct.pack("<QHBB", number, at + len(names), 0, 0)
        names += name
    return (heads + names).ljust(BLOCK, b"\0")


def image(root: list[tuple[bytes, int]], sub: list[tuple[bytes, int]] | None = None) -> bytes:
    """Inodes 0: root, 1: file, 2: link, 3: directory, in block 1; their data behind."""
    superblock = bytearray(128)
    struct.pack_into("<I", superblock, 0, erofs.MAGIC)
    superblock[12] = 12
    struct.pack_into("<H", superblock, 14, 0)
    struct.pack_into("<I", superblock, 40, 1)
    inodes = inode(DIRECTORY, BLOCK, 2) + inode(FILE, 5, 3) + inode(LINK, 4, 4)
    inodes += inode(DIRECTORY, BLOCK, 5)
    blocks = [bytes(1024) + bytes(superblock), inodes, directory(root), b"hello", b"/etc"]
    blocks.append(directory(sub or [(b".", 3), (b"..", 0)]))
    return b"".join(block.ljust(BLOCK, b"\0") for block in blocks)


ROOT = [(b".", 0), (b"..", 0), (b"d", 3), (b"f", 1), (b"l", 2)]


def test_tree_is_walked() -> None:
    found = list(erofs.Image(image(ROOT, [(b".", 3), (b"..", 0), (b"g", 1)])).walk())

    assert [entry.path for entry in found] == [b"", b"d", b"d/g", b"f", b"l"]
    assert (found[3].inode.mode, found[3].inode.uid, found[3].inode.gid) == (FILE, 7, 8)
    assert found[4].target == b"/etc"


@pytest.mark.parametrize(
    "name", [b"../../etc/cron.d/x", b"a/b", b"/etc/passwd", b"x" * 256], ids=repr
)
def test_names_that_lead_elsewhere_are_refused(name: bytes) -> None:
    with pytest.raises(FormatError, match="not a file name"):
        list(erofs.Image(image([*ROOT[:2], (name, 1)])).walk())


def test_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(FormatError, match="holds b'a' twice"):
        list(erofs.Image(image([*ROOT[:2], (b"a", 2), (b"a", 1)])).walk())


def test_directory_inside_itself_is_refused() -> None:
    with pytest.raises(FormatError, match="occurs twice"):
        list(erofs.Image(image([*ROOT[:2], (b"a", 0)])).walk())
    with pytest.raises(FormatError, match="occurs twice"):
        list(erofs.Image(image([*ROOT[:2], (b"a", 3), (b"b", 3)])).walk())


def test_unknown_features_are_refused() -> None:
    raw = bytearray(image(ROOT))
    struct.pack_into("<I", raw, 1024 + 80, 0x80)

    with pytest.raises(FormatError, match="wants features 0x80"):
        erofs.Image(raw)


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(1024, 6 * BLOCK - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    end=st.integers(1024, 6 * BLOCK),
)
def test_damage_ends_in_a_tree_or_a_format_error(changes: list[tuple[int, int]], end: int) -> None:
    raw = bytearray(image(ROOT))
    for place, value in changes:
        raw[place] = value
    try:
        found = list(erofs.Image(bytes(raw[:end])).walk())
    except FormatError:
        return
    for entry in found[1:]:
        assert not {b"", b".", b".."} & set(entry.path.split(b"/"))
