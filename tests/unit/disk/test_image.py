# SPDX-License-Identifier: MIT
"""Disks in every form they come in are read as the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import os
from typing import TYPE_CHECKING

import pytest
import zstandard

from bootseal.disk import bmap
from bootseal.disk import image as source
from bootseal.errors import FormatError, UsageError
from bootseal.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"head".ljust(3 * MIB, b"\0") + b"middle".ljust(5 * MIB + 512, b"\0") + b"end"


def packed(path: Path) -> Path:
    data = {
        ".img": lambda: CONTENT,
        ".gz": lambda: gzip.compress(CONTENT[:MIB]) + gzip.compress(CONTENT[MIB:]),
        ".zst": lambda: zstandard.compress(CONTENT[:MIB]) + zstandard.compress(CONTENT[MIB:]),
    }[path.suffix]()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["disk.img", "disk.wic.gz", "disk.wic.zst"])
def test_disk_is_read_whatever_form_it_has(tmp_path: Path, name: str) -> None:
    with source.opened(packed(tmp_path / name)) as disk:
        assert (disk.size, disk.name.name) == (len(CONTENT), name)
        assert disk.read(3 * MIB - 2, 10) == b"\0\0middle\0\0"
        assert bytes(disk.view(3 * MIB, 6)) == b"middle"
        assert disk.path.stat().st_blocks * 512 < MIB or name == "disk.img"


@pytest.mark.parametrize("name", ["disk.wic.gz", "disk.wic.zst"])
def test_compressed_disk_larger_than_allowed_is_refused(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / name)

    with (
        pytest.raises(FormatError, match=r"more than 8.0 MiB"),
        source.opened(path, max_size=8 * MIB),
    ):
        pass


@pytest.mark.parametrize("name", ["disk.wic.gz", "disk.wic.zst"])
@pytest.mark.parametrize("cut", [30, 60])
def test_damaged_compressed_disk_is_malformed(tmp_path: Path, name: str, cut: int) -> None:
    path = packed(tmp_path / name)
    data = bytearray(path.read_bytes())
    data[cut:-4] = bytes(len(data) - cut - 4)
    path.write_bytes(data[:-3])

    with pytest.raises(FormatError, match="damaged"), source.opened(path):
        pass


def test_unpacked_disk_is_removed(tmp_path: Path) -> None:
    with source.opened(packed(tmp_path / "disk.wic.gz")) as disk:
        temporary = disk.path

    assert not temporary.exists()


def test_reading_behind_the_end_is_malformed(tmp_path: Path) -> None:
    with source.opened(packed(tmp_path / "disk.img")) as disk:
        for offset in (disk.size - 3, disk.size, 1 << 60, -1):
            with pytest.raises(FormatError, match="ends at"):
                disk.read(offset, 4)
            with pytest.raises(FormatError, match="ends at"):
                disk.view(offset, 4)


def test_first_byte_that_is_not_zero_is_found_in_a_file_with_holes(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
        os.pwrite(file.fileno(), b"x", 40 * MIB + 5)

    with source.opened(path) as disk:
        assert disk.nonzero(0, disk.size) == 40 * MIB + 5
        assert disk.nonzero(0, 40 * MIB + 5) is None
        assert disk.nonzero(40 * MIB + 6, disk.size) is None
        assert sum(end - start for start, end in disk.data(0, disk.size)) <= MIB


@pytest.mark.parametrize(
    ("name", "reason"), [("none.img", "no disk image"), ("none.bmap", "no image next to it")]
)
def test_disk_that_is_not_there_is_a_usage_error(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason), source.opened(tmp_path / name):
        pass


def test_directory_is_no_disk(tmp_path: Path) -> None:
    with pytest.raises((UsageError, IsADirectoryError)), source.opened(tmp_path):
        pass


def block_map(ranges: list[tuple[int, int]], size: int = len(CONTENT)) -> bytes:
    rows = "".join(
        f'<Range chksum="{hashlib.sha256(CONTENT[a * 4096 : b * 4096 + 4096]).hexdigest()}">'
        f"{a}-{b}</Range>"
        for a, b in ranges
    )
    text = (
        '<?xml version="1.0" ?><bmap version="2.0">'
        f"<ImageSize> {size} </ImageSize><BlockSize> 4096 </BlockSize>"
        "<ChecksumType> sha256 </ChecksumType>"
        f"<BmapFileChecksum> {'0' * 64} </BmapFileChecksum><BlockMap>{rows}</BlockMap></bmap>"
    )
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()).encode()


MAPPED = [(0, 0), (768, 770), (2048, 2048)]


def findings(tmp_path: Path, data: bytes) -> list[str]:
    image = packed(tmp_path / "disk.wic.gz")
    path = tmp_path / "disk.wic.bmap"
    path.write_bytes(data)
    with source.opened(path) as disk:
        assert disk.name == image
        assert [f.id for f in bmap.check(disk, image)] == [f.id for f in bmap.check(disk, path)]
        return [f.id for f in bmap.check(disk, path)]


def test_disk_is_found_and_checked_by_its_block_map(tmp_path: Path) -> None:
    assert findings(tmp_path, block_map(MAPPED)) == []


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        pytest.param(block_map(MAPPED[:2]), "disk.bmap-range", id="left out"),
        pytest.param(block_map(MAPPED, size=4096), "disk.bmap", id="size"),
        pytest.param(block_map([(0, 5), (3, 4)]), "disk.bmap", id="order"),
        pytest.param(block_map(MAPPED) + b" ", "disk.bmap", id="own checksum"),
        pytest.param(b"<!DOCTYPE x>" + block_map(MAPPED), "disk.bmap", id="entities"),
        pytest.param(b"<bmap", "disk.bmap", id="no xml"),
        pytest.param(b'<bmap version="9"/>', "disk.bmap", id="version"),
    ],
)
def test_block_map_that_does_not_fit_is_refused(tmp_path: Path, data: bytes, refusal: str) -> None:
    assert findings(tmp_path, data) == [refusal]


def test_range_with_another_digest_is_refused(tmp_path: Path) -> None:
    text = block_map(MAPPED).decode()
    own = text.partition("<BmapFileChecksum> ")[2][:64]
    digest = text.partition('chksum="')[2][:64]
    changed = text.replace(digest, "1" * 64, 1).replace(own, "0" * 64)
    data = changed.replace("0" * 64, hashlib.sha256(changed.encode()).hexdigest(), 1).encode()

    assert findings(tmp_path, data) == ["disk.bmap-digest"]
