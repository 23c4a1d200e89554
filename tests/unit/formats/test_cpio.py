# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.errors import FormatError, UsageError
from bootseal.formats import cpio


def test_archive_of_one_file_has_the_documented_bytes() -> None:
    archive = cpio.pack([cpio.file("a", b"xyz", mode=0o600)], epoch=2)

    fields = "00000001000081800000000000000000000000010000000200000003"
    fields += "000000000000000000000000000000000000000200000000"
    assert archive.startswith(b"070701" + fields.encode() + b"a\0xyz\0")
    assert b"TRAILER!!!\0" in archive
    assert len(archive) % 4 == 0


def test_equal_input_gives_equal_bytes() -> None:
    entries = [cpio.directory("d"), cpio.symlink("d/l", "x"), cpio.character_device("c", 5, 1)]

    assert cpio.pack(entries, epoch=1) == cpio.pack(entries, epoch=1)


@pytest.mark.parametrize(
    ("entries", "epoch", "reason"),
    [
        pytest.param([cpio.file("d/a", b"")], 0, "before its directory", id="no-directory"),
        pytest.param([cpio.file("a", b"")] * 2, 0, "occurs twice", id="twice"),
        pytest.param([], 1 << 32, "does not fit", id="time"),
    ],
)
def test_archive_that_cannot_be_unpacked_is_refused(
    entries: list[cpio.Entry], epoch: int, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        cpio.pack(entries, epoch=epoch)


@pytest.mark.parametrize("data", [b"", b"x", b"four", b"12345"])
def test_content_of_a_file_is_found_again(data: bytes) -> None:
    entries = [cpio.directory("d"), cpio.file("d/before", b"abc"), cpio.file("d/f", data)]
    archive = cpio.pack([*entries, cpio.file("last", b"xyz")], epoch=1)

    assert cpio.content(archive, "d/f") == data
    assert cpio.content(archive, "last") == b"xyz"


def test_content_of_a_file_that_is_not_there_is_refused() -> None:
    archive = cpio.pack([cpio.file("a", b"abc")], epoch=1)

    with pytest.raises(FormatError, match="the archive holds no b"):
        cpio.content(archive, "b")
