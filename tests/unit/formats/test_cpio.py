# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.errors import UsageError
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
