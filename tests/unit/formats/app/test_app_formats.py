# SPDX-License-Identifier: MIT
"""Layout, signature partition and os-release of an application: written, and read again."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats import gpt, verity
from bootseal.formats.app import layout, release, signature
from bootseal.formats.app.release import Release
from bootseal.formats.app.signature import Signature
from bootseal.formats.verity import BLOCK
from bootseal.units import SECTOR

DIGESTS = st.binary(min_size=32, max_size=32)


@given(DIGESTS, st.integers(1, 1 << 18), st.integers(1, 1 << 12))
def test_layout_is_read_as_it_is_written(root_hash: bytes, data: int, tree: int) -> None:
    planned = layout.plan(root_hash, data * BLOCK, tree * BLOCK)
    tables = planned.tables()

    gpt.check_protective_mbr(tables[0], planned.size)
    for place in (SECTOR, planned.size - SECTOR):
        header = gpt.parse_header(tables[place])
        assert gpt.parse_entries(tables[header.entries], header) == planned.entries
        assert (header.place, header.disk) == (place, planned.disk)
        assert header.last_usable == planned.size - gpt.ROOM
    root, hashes, sig = planned.entries
    assert bytes.fromhex((root.uuid + hashes.uuid).replace("-", "")) == root_hash
    assert (root.size, hashes.size, sig.size) == (data * BLOCK, tree * BLOCK, 16384)
    assert root.end == hashes.offset
    assert hashes.end == sig.offset
    assert sig.end + gpt.ROOM <= planned.size
    assert planned.size % BLOCK == 0


@given(DIGESTS, DIGESTS, st.binary(max_size=4096))
def test_signature_partition_is_read_as_it_is_written(
    root_hash: bytes, certificate: bytes, message: bytes
) -> None:
    made = Signature(root_hash=root_hash.hex(), certificate=certificate.hex(), message=message)
    partition = signature.emit(made)

    assert len(partition) == layout.SIGNATURE_SIZE
    assert signature.parse(partition) == made


@given(st.binary(max_size=400))
def test_any_bytes_are_one_signature_partition_or_none(data: bytes) -> None:
    with suppress(FormatError):
        found = signature.parse(data)
        assert found is None or signature.emit(found).rstrip(b"\0") == data.rstrip(b"\0")


def test_empty_partition_says_nothing() -> None:
    assert signature.parse(bytes(layout.SIGNATURE_SIZE)) is None


def test_message_that_does_not_fit_is_refused() -> None:
    digest = hashlib.sha256().hexdigest()
    with pytest.raises(FormatError, match="expected fewer than 16 KiB"):
        signature.emit(Signature(root_hash=digest, certificate=digest, message=bytes(12300)))


@given(
    st.from_regex(release.NAME, fullmatch=True),
    st.from_regex(release.VERSION, fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60),
)
def test_os_release_is_read_as_it_is_written(name: str, version: str, line: str) -> None:
    said = Release(name=name.rstrip("\n"), version=version.rstrip("\n"))
    text = release.emit(line.encode(), said)

    assert release.parse(text) == said
    assert release.emit(text, said) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "IMAGE_ID is missing"),
        (b"IMAGE_ID=a\n", "IMAGE_VERSION is missing"),
        (b"IMAGE_ID=a\nexport IMAGE_ID=b\nIMAGE_VERSION=1\n", "IMAGE_ID is given twice"),
        (b"IMAGE_ID=$(reboot)\nIMAGE_VERSION=1\n", "IMAGE_ID is"),
        (b"IMAGE_ID='a'b\nIMAGE_VERSION=1\n", "IMAGE_ID is"),
        (b"IMAGE_ID=a\nIMAGE_VERSION=1_2\n", "IMAGE_VERSION is '1_2'"),
        (b"IMAGE_ID=a\nIMAGE_VERSION=1+2\n", "IMAGE_VERSION is"),
        (b"#IMAGE_ID=a\nIMAGE_VERSION=1\n", "IMAGE_ID is missing"),
    ],
)
def test_name_and_version_that_none_may_have_are_refused(text: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why.replace("$", r"\$")):
        release.parse(text)


def test_quoted_values_are_what_is_in_the_quotes() -> None:
    assert release.parse(b"IMAGE_ID=\"a\"\nIMAGE_VERSION='1.0'\n") == Release(
        name="a", version="1.0"
    )


def test_superblock_is_read_as_it_is_written() -> None:
    made = verity.Superblock(uuid=bytes(range(16)), salt=b"salt" * 8, blocks=129)
    block = verity.emit_superblock(made)

    assert verity.parse_superblock(block) == made
    assert len(block) == BLOCK
