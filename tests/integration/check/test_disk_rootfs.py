# SPDX-License-Identifier: MIT
"""Root file systems made by the usual tools, opened and checked; and hostile ones."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootseal.check.rootfs import check as rootfs
from bootseal.check.rootfs.allowlist import Allowlist
from bootseal.device import Partition
from bootseal.disk import image as source
from bootseal.findings.model import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.findings.model import Finding

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


def on_disk(image: Path) -> tuple[Path, Partition]:
    """Put a file system behind 1 MiB of something else."""
    disk = image.with_suffix(".disk")
    disk.write_bytes(b"\xa5" * START + image.read_bytes())
    size = image.stat().st_size
    entry = Partition(number=1, name="root-a", type="", uuid="", offset=START, size=size)
    return disk, entry


def findings_of(image: Path) -> list[Finding]:
    path, entry = on_disk(image)
    with source.opened(path) as disk:
        return list(rootfs.check(disk, entry, Allowlist(), production=True))


@pytest.mark.tool("mkfs.erofs", "fsck.erofs")
def test_image_of_a_relative_name_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "tree")
    erofs(tmp_path / "tree", tmp_path / "image")
    monkeypatch.chdir(tmp_path)

    assert rootfs.image_offers_login(Path("image"))


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

    found = {finding.id for finding in findings_of(tmp_path / "image")}

    assert found == {"disk.root-empty-password", "disk.root-setuid"}


NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")
SYS_ADMIN = bytes.fromhex("0100000200002000000000000000000000000000")


def erofs_with(tree: Path, image: Path, attributes: dict[str, bytes]) -> None:
    """Without being root: set an attribute that users may set, and name it differently inside."""
    for name, value in attributes.items():
        os.setxattr(tree / name, "user.capability", value)
    subprocess.run(["mkfs.erofs", "--quiet", "-Enosbcrc", image, tree], check=True)
    raw = image.read_bytes()
    assert raw.count(b"\x0a\x01\x14\0capability") > 0
    image.write_bytes(raw.replace(b"\x0a\x01\x14\0capability", b"\x0a\x06\x14\0capability"))


def squashfs_with(tree: Path, image: Path, attributes: dict[str, bytes]) -> None:
    table = image.with_name("attributes")
    table.write_text(
        "".join(
            f"# file: {name}\nsecurity.capability=0x{value.hex()}\n\n"
            for name, value in attributes.items()
        )
    )
    subprocess.run(["gensquashfs", "-q", "-A", table, "-D", tree, image], check=True)


def ext4_with(tree: Path, image: Path, attributes: dict[str, bytes]) -> None:
    ext4(tree, image)
    for name, value in attributes.items():
        image.with_name("value").write_bytes(value)
        command = f"ea_set -f {image.with_name('value')} /{name} security.capability"
        subprocess.run(["/sbin/debugfs", "-w", "-R", command, image], check=True)


MAKERS_WITH = {"erofs": erofs_with, "squashfs": squashfs_with, "ext4": ext4_with}


@TOOLS
@pytest.mark.parametrize("kind", MAKERS_WITH)
def test_unexpected_file_capabilities_are_found(tmp_path: Path, kind: str) -> None:
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    for name in ("ping", "evil", "bad", "plain", *"abcde"):
        (tree / "usr/bin" / name).write_text(name)
    (tree / "opt").mkdir()
    os.link(tree / "usr/bin/evil", tree / "opt/second-name")
    attributes = {"usr/bin/ping": NET_RAW, "usr/bin/evil": SYS_ADMIN, "usr/bin/bad": bytes(20)}
    attributes["opt/second-name"] = SYS_ADMIN
    # As many as make mkfs.erofs keep one for all of them.
    attributes |= {f"usr/bin/{name}": NET_RAW for name in "abcde"}
    MAKERS_WITH[kind](tree, tmp_path / "image", attributes)

    found = findings_of(tmp_path / "image")

    assert {(f.id, f.severity) for f in found} == {("disk.root-capabilities", Severity.ERROR)}
    assert {f.where for f in found} == {"root-a:/usr/bin", "root-a:/opt"}
    (other,) = (f.message for f in found if f.where == "root-a:/opt")
    assert "opt/second-name (cap_sys_admin)" in other
    allowed = Allowlist(capabilities=("usr/bin/?", "*/ping", "*/evil", "opt/*"))
    path, entry = on_disk(tmp_path / "image")
    with source.opened(path) as disk:
        (bad,) = rootfs.check(disk, entry, allowed, production=True)
    assert "usr/bin/bad (malformed)" in bad.message


@TOOLS
@pytest.mark.parametrize("kind", MAKERS_WITH)
def test_expected_file_capabilities_are_accepted(tmp_path: Path, kind: str) -> None:
    (tmp_path / "tree/usr/bin").mkdir(parents=True)
    (tmp_path / "tree/usr/bin/ping").write_text("ping")
    MAKERS_WITH[kind](tmp_path / "tree", tmp_path / "image", {"usr/bin/ping": NET_RAW})

    assert findings_of(tmp_path / "image") == []


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

    found = findings_of(image)

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

    (found,) = findings_of(image)

    assert found.id == "disk.root-unreadable"
    assert "not a file name" in found.message


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

    findings_of(image)

    assert victim.read_text() == "mine"


def test_partition_without_a_file_system_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1 << 20))

    (found,) = findings_of(tmp_path / "image")

    assert found.id == "disk.root-unreadable"
