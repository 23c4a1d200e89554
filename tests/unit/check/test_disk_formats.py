# SPDX-License-Identifier: MIT
"""The readers of disk formats: what was written is read back, any other bytes are malformed."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
import zlib
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.check import conftest as made

from bootseal.errors import FormatError
from bootseal.formats import gpt, verity
from bootseal.formats.uboot import environment as uboot_env
from bootseal.formats.uboot.environment import emit_environment
from bootseal.formats.verity import Layer, Tree
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=18)


@given(st.lists(NAMES, min_size=1, max_size=20))
def test_table_that_was_written_is_read_back(names: list[str]) -> None:
    partition = made.declared()[0]
    written = [
        replace(partition, number=n, name=name, offset=n * MIB, uuid=str(uuid.UUID(int=n)))
        for n, name in enumerate(names, start=1)
    ]
    table = made.pack_entries(written)

    header = gpt.parse_header(made.pack_header(table, 64 * MIB, backup=False))
    found = gpt.parse_entries(table, header)

    assert (header.place, header.other, header.disk) == (512, 64 * MIB - 512, str(made.DISK))
    assert [(e.number, e.name, e.type, e.uuid, e.offset, e.size) for e in found] == [
        (p.number, p.name, p.type, p.uuid, p.offset, p.size) for p in written
    ]


def test_last_entry_of_a_larger_table_is_read() -> None:
    table = bytearray(made.pack_entries([]) * 2)
    table[-128:] = made.pack_entries(made.declared()[:1])[:128]
    header = gpt.parse_header(made.pack_header(bytes(table), 64 * MIB, backup=False, count=256))

    assert [e.number for e in gpt.parse_entries(bytes(table), header)] == [256]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda t: t[:40], "expected 16384", id="short"),
        pytest.param(lambda t: t[:32] + bytes(96) + t[128:], "the CRC", id="crc"),
    ],
)
def test_entries_that_are_not_those_of_the_header_are_malformed(
    change: Callable[[bytes], bytes], reason: str
) -> None:
    table = made.pack_entries(made.declared())
    header = gpt.parse_header(made.pack_header(table, 64 * MIB, backup=False))

    with pytest.raises(FormatError, match=reason):
        gpt.parse_entries(change(table), header)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        pytest.param(32, b"\xff" * 8, "backwards", id="backwards"),
        pytest.param(0, bytes(16), "not in use and not zero", id="unused"),
        pytest.param(56, b"\x00\xd8", "not UTF-16", id="surrogate"),
        pytest.param(58, b"\0\0x\0", "behind its end", id="name with a hole"),
    ],
)
def test_malformed_entry_is_refused(at: int, value: bytes, reason: str) -> None:
    table = bytearray(made.pack_entries(made.declared()))
    table[at : at + len(value)] = value
    header = gpt.parse_header(made.pack_header(bytes(table), 64 * MIB, backup=False))

    with pytest.raises(FormatError, match=reason):
        gpt.parse_entries(bytes(table), header)


@given(st.integers(1, 1 << 31))
def test_levels_lie_behind_each_other_and_hold_all_digests(blocks: int) -> None:
    found = Tree(root_hash=bytes(32), salt=b"", blocks=blocks).levels()

    place = verity.TREE_AT
    for layer in reversed(found):
        assert layer.start == place
        place += layer.blocks * verity.BLOCK
    counts = [blocks, *(layer.blocks for layer in found)]
    assert all(-(-a // 128) == b for a, b in pairwise(counts))
    assert counts[-1] == 1


def test_tree_of_one_block_has_no_levels() -> None:
    assert Tree(root_hash=bytes(32), salt=b"", blocks=1).levels() == ()
    assert Tree(root_hash=bytes(32), salt=b"", blocks=128).levels() == (
        Layer(start=4096, blocks=1),
    )


@pytest.mark.parametrize(
    ("root_hash", "salt", "blocks"),
    [
        (b"short", b"", 1),
        (bytes(32), bytes(257), 1),
        (bytes(32), b"", 0),
        (bytes(32), b"", 1 << 41),
    ],
)
def test_impossible_tree_is_malformed(root_hash: bytes, salt: bytes, blocks: int) -> None:
    with pytest.raises(FormatError):
        Tree(root_hash=root_hash, salt=salt, blocks=blocks)


@given(st.binary(max_size=64), st.lists(st.sampled_from([b"\0", b"x", b"\0x"]), max_size=4))
def test_digests_are_those_of_salted_blocks(salt: bytes, starts: list[bytes]) -> None:
    blocks = [start.ljust(4096, b"\0") for start in starts]

    assert verity.digests(salt, b"".join(blocks)) == b"".join(
        hashlib.sha256(salt + block).digest() for block in blocks
    )


def test_superblock_is_read_and_nothing_else_may_be_in_its_block() -> None:
    block = made.make_tree(bytes(300 * 4096))[1][:4096]

    found = verity.parse_superblock(block)

    assert (found.salt, found.blocks) == (made.SALT, 300)
    for at in (0, 8, 12, 32, 64, 68, 82, 200, 600, 4095):
        with pytest.raises(FormatError):
            verity.parse_superblock(block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :])


WORDS = st.text("abXY_", min_size=1, max_size=5)


@given(st.dictionaries(WORDS, st.text("ab =;$", max_size=6), max_size=4))
def test_environment_that_was_written_is_read_back(variables: dict[str, str]) -> None:
    found = uboot_env.parse_environment(emit_environment(variables, size=4096))

    assert found == variables


@pytest.mark.parametrize(
    "text", [b"a=1\0a=2\0\0", b"novalue\0\0", b"=x\0\0", b"a=1\0\0more"], ids=repr
)
def test_environment_that_is_ambiguous_is_malformed(text: bytes) -> None:
    body = text.ljust(60, b"\0")

    with pytest.raises(FormatError):
        uboot_env.parse_environment(zlib.crc32(body).to_bytes(4, "little") + body)


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    sector = data[:512].ljust(512, b"\0")
    for read in (
        lambda: gpt.parse_header(sector),
        lambda: gpt.check_protective_mbr(sector, MIB),
        lambda: verity.parse_superblock(data.ljust(4096, b"\0")),
        lambda: uboot_env.parse_environment(data),
    ):
        with contextlib.suppress(FormatError):
            read()
