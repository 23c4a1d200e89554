# SPDX-License-Identifier: MIT
"""What an image holds is what the kernel finds in it, whatever its inodes and names say."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest

from bootseal import proc
from bootseal.disk.filesystems import ext4, squashfs
from bootseal.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.tool("sqfs2tar")]
TIME = 1_700_000_000
FILES = {"one": b"first " * 900, "three": b"third " * 900, "two": b"second" * 900}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Make an image of three files, its inodes and names in clear."""
    found = tmp_path / "image"
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (TIME, TIME))
    names = [tmp_path / name for name in FILES]
    options = ["-noappend", "-all-root", "-no-xattrs", "-no-progress", "-quiet", "-noI"]
    proc.run("mksquashfs", [*names, found, *options], timeout=60)
    (tmp_path / "scratch").mkdir()
    return found


def change(image: Path, old: bytes, new: bytes) -> None:
    data = image.read_bytes()
    assert data.count(old) == 1
    image.write_bytes(data.replace(old, new))


def read(image: Path) -> dict[str, bytes]:
    nodes = squashfs.read(image, image.parent / "scratch")
    return {node.path: node.content.read(1 << 16) for node in nodes if node.content}


def test_files_are_read(image: Path) -> None:
    assert read(image) == FILES


def test_files_that_claim_one_inode_number_keep_their_own_content(image: Path) -> None:
    second, third = (struct.pack("<II", TIME, number) for number in (2, 3))
    change(image, third, second)

    assert read(image) == FILES


def test_second_file_of_one_name_is_refused(image: Path) -> None:
    change(image, b"two", b"one")

    with pytest.raises(FormatError, match="two entries 'one'"):
        read(image)


def test_second_name_of_a_file_has_its_content(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "tree/one").write_bytes(b"content")
    (tmp_path / "tree/other").hardlink_to(tmp_path / "tree/one")
    image = tmp_path / "image"
    proc.run("mksquashfs", [tmp_path / "tree", image, "-noappend", "-quiet"], timeout=60)

    assert read(image) == {"one": b"content", "other": b"content"}


@pytest.mark.tool("mke2fs", "debugfs")
def test_second_file_of_one_name_is_refused_in_ext4(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for name, data in FILES.items():
        (tmp_path / "tree" / name).write_bytes(data)
    image = tmp_path / "image"
    options = ["-q", "-t", "ext4", "-O", "^metadata_csum,^dir_index"]
    proc.run("mke2fs", [*options, "-d", tmp_path / "tree", image, "1M"], timeout=60)
    for name in ("good", "changed"):
        (tmp_path / name).mkdir()
    files = {n.path for n in ext4.read(image, tmp_path / "good") if n.regular}
    assert files == FILES.keys()
    change(image, b"\3\1two", b"\3\1one")

    with pytest.raises(FormatError, match="two entries 'one'"):
        ext4.read(image, tmp_path / "changed")
