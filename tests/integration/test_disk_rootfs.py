# SPDX-License-Identifier: MIT
"""Root file systems made by the usual tools, opened and judged; and hostile ones."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from bootseal.disk import rootfs, source
from bootseal.disk.rootfs_policy import Policy
from bootseal.events import Severity
from bootseal.formats.gpt import Entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.events import Finding

START = 1 << 20


def make_tree(root: Path) -> None:
    (root / "usr/bin").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "usr/bin/large").write_bytes(bytes(range(256)) * 1000)
    (root / "usr/bin/tool").write_bytes(b"#!/bin/sh\n")
    (root / "usr/bin/tool").chmod(0o4755)
    (root / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\n")
    (root / "etc/link").symlink_to("/etc/passwd")
    os.link(root / "usr/bin/large", root / "usr/bin/again")
    os.mkfifo(root / "etc/pipe")


def erofs(tree: Path, image: Path) -> None:
    subprocess.run(["mkfs.erofs", "--quiet", "-zlz4hc", image, tree], check=True)


def squashfs(tree: Path, image: Path) -> None:
    subprocess.run(["gensquashfs", "-q", "-D", tree, image], check=True)


def ext4(tree: Path, image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, image], check=True)


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "erofs": erofs,
    "squashfs": squashfs,
    "ext4": ext4,
}
TOOLS = pytest.mark.tool("mkfs.erofs", "fsck.erofs", "gensquashfs", "sqfs2tar", "mke2fs", "debugfs")


def on_disk(image: Path) -> tuple[Path, Entry]:
    """Put a file system behind 1 MiB of something else."""
    disk = image.with_suffix(".disk")
    disk.write_bytes(b"\xa5" * START + image.read_bytes())
    size = image.stat().st_size
    entry = Entry(number=1, name="root-a", type="", uuid="", offset=START, size=size, attributes=0)
    return disk, entry


def judge(image: Path) -> list[Finding]:
    path, entry = on_disk(image)
    with source.opened(path) as disk:
        return list(rootfs.check(disk, entry, Policy(), production=True))


@TOOLS
@pytest.mark.parametrize("kind", MAKERS)
def test_files_are_read_as_they_were_written(tmp_path: Path, kind: str) -> None:
    tree = tmp_path / "tree"
    make_tree(tree)
    MAKERS[kind](tree, tmp_path / "image")
    path, entry = on_disk(tmp_path / "image")

    with source.opened(path) as disk, rootfs.opened(disk, entry) as nodes:
        found = {node.path: node for node in nodes}
        wanted = {str(p.relative_to(tree)): p for p in tree.rglob("*")}
        assert found.keys() - {"lost+found"} == wanted.keys()
        for name, place in wanted.items():
            assert found[name].mode == place.lstat().st_mode
            content = found[name].content
            assert (content is not None) == (stat.S_ISREG(place.lstat().st_mode))
            if content is not None:
                assert content.read(1 << 20) == place.read_bytes()


@TOOLS
@pytest.mark.parametrize("kind", MAKERS)
def test_what_must_not_ship_is_found_in_every_file_system(tmp_path: Path, kind: str) -> None:
    make_tree(tmp_path / "tree")
    MAKERS[kind](tmp_path / "tree", tmp_path / "image")

    found = {finding.id for finding in judge(tmp_path / "image")}

    assert found == {"disk.root-empty-password", "disk.root-setuid"}


@TOOLS
@pytest.mark.parametrize("kind", MAKERS)
def test_damaged_file_system_is_a_finding(tmp_path: Path, kind: str) -> None:
    make_tree(tmp_path / "tree")
    image = tmp_path / "image"
    MAKERS[kind](tmp_path / "tree", image)
    raw = bytearray(image.read_bytes())
    start = 100 if kind == "squashfs" else 2048
    raw[start:] = b"\xff" * (len(raw) - start)
    image.write_bytes(raw)

    found = judge(image)

    assert [(f.id, f.severity) for f in found] == [("disk.root-unreadable", Severity.ERROR)]


@pytest.mark.tool("mkfs.erofs", "fsck.erofs")
def test_erofs_names_do_not_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/xx_xx_escaped").write_text("hostile")
    image = tmp_path / "image"
    erofs(tmp_path / "tree", image)
    raw = image.read_bytes()
    assert raw.count(b"xx_xx_escaped") == 1
    image.write_bytes(raw.replace(b"xx_xx_escaped", b"../../escaped"))

    (found,) = judge(image)

    assert found.id == "disk.root-unreadable"
    assert "no file's name" in found.message


@pytest.mark.tool("mke2fs", "debugfs")
def test_ext4_links_and_names_do_not_lead_outside(tmp_path: Path) -> None:
    """A link and a file of one name: debugfs's own extraction writes through the link."""
    tree, victim = tmp_path / "tree", tmp_path / "victim"
    tree.mkdir()
    victim.write_text("mine")
    (tree / "nameA").symlink_to(victim)
    (tree / "nameB").write_text("hostile")
    image = tmp_path / "image"
    ext4(tree, image)
    raw = bytearray(image.read_bytes())
    place = raw.find(struct.pack("<BB", 5, 1) + b"nameB")
    assert place > 0
    raw[place + 2 : place + 7] = b"nameA"
    image.write_bytes(raw)

    judge(image)

    assert victim.read_text() == "mine"


def test_partition_without_a_file_system_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1 << 20))

    (found,) = judge(tmp_path / "image")

    assert found.id == "disk.root-unreadable"
