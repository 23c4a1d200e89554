# SPDX-License-Identifier: MIT
"""What the reference build writes, read back by the programs others use."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootseal.assembly import disk_image, slot_trees, verity
from bootseal.disk.layout import LABEL_ID, parse_wks
from bootseal.errors import FormatError, ToolError, VerificationRefused
from bootseal.formats import cpio
from bootseal.formats.fdt import model as fdt
from bootseal.reference import sources, uboot
from bootseal.reference.apt import Download

if TYPE_CHECKING:
    from bootseal.reference.sources import SourcePackage

LAYER = Path(__file__).parents[3] / "meta-secureboot"
BOARD = LAYER / "recipes-bsp/u-boot/files/qemu-virt-bootseal.dts"


@pytest.mark.tool("sfdisk")
@pytest.mark.parametrize("name", ["bootseal-ab.wks", "bootseal-ab-rom.wks"])
def test_disk_has_the_declared_partitions_and_contents(tmp_path: Path, name: str) -> None:
    layout = parse_wks((LAYER / "files/wic" / name).read_text())
    contents = {}
    for number, each in enumerate(sorted(set(layout.files.values())), start=1):
        contents[each] = tmp_path / each
        contents[each].write_bytes(bytes([number]) * 5000)

    disk_image.write(layout, contents, tmp_path / "disk.img")

    dump = subprocess.run(
        ["/usr/sbin/sfdisk", "--json", tmp_path / "disk.img"], check=True, capture_output=True
    )
    table = json.loads(dump.stdout)["partitiontable"]
    assert (table["label"], table["id"].lower()) == ("gpt", LABEL_ID)
    found = [
        (p["name"], p["type"].lower(), p["uuid"].lower(), p["start"] * 512, p["size"] * 512)
        for p in table["partitions"]
    ]
    assert found == [(p.name, p.type, p.uuid, p.offset, p.size) for p in layout.partitions]
    with (tmp_path / "disk.img").open("rb") as image:
        for partition in layout.partitions:
            image.seek(partition.offset)
            file = layout.files.get(partition.name)
            held = contents[file].read_bytes() if file else bytes(5000)
            assert image.read(5001) == held + b"\0"


@pytest.mark.tool("sfdisk")
def test_disk_is_the_same_each_time(tmp_path: Path) -> None:
    layout = parse_wks((LAYER / "files/wic/bootseal-ab.wks").read_text())
    contents = {file: tmp_path / file for file in layout.files.values()}
    for path in contents.values():
        path.write_bytes(path.name.encode())

    disk_image.write(layout, contents, tmp_path / "one.img")
    disk_image.write(layout, contents, tmp_path / "two.img")

    with (tmp_path / "one.img").open("rb") as one, (tmp_path / "two.img").open("rb") as two:
        assert one.read(4 << 20) == two.read(4 << 20)
        one.seek(-(1 << 20), 2)
        two.seek(-(1 << 20), 2)
        assert one.read() == two.read()


@pytest.mark.tool("cpio")
def test_archive_is_unpacked_by_cpio(tmp_path: Path) -> None:
    archive = cpio.pack(
        [
            cpio.directory("d"),
            cpio.file("d/program", b"#!/bin/sh\n", mode=0o755),
            cpio.symlink("link", "d/program"),
        ],
        epoch=1_000_000_000,
    )

    subprocess.run(
        ["cpio", "-i", "--quiet", "--no-preserve-owner"],
        input=archive,
        cwd=tmp_path,
        check=True,
    )

    assert (tmp_path / "link").readlink() == Path("d/program")
    assert (tmp_path / "d/program").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "d/program").stat().st_mode & 0o777 == 0o755


@pytest.mark.tool("dtc")
def test_slot_device_tree_carries_bootargs_and_rollback_index() -> None:
    source = slot_trees.for_slot(BOARD.read_text(), "console=ttyAMA0 bootseal.slot=a", 7)

    chosen = fdt.parse(slot_trees.compile_dts(source, BOARD.parent)).find("/chosen")

    assert chosen is not None
    assert chosen.properties["bootargs"] == b"console=ttyAMA0 bootseal.slot=a\0"
    assert chosen.properties["bootseal,rollback-index"] == (7).to_bytes(4)
    assert chosen.properties["stdout-path"] == b"/pl011@9000000\0"


@pytest.mark.tool("dtc")
def test_device_tree_with_an_error_is_refused() -> None:
    with pytest.raises(ToolError, match="dtc"):
        slot_trees.compile_dts("/dts-v1/; / { broken", BOARD.parent)


def _image(path: Path, content: bytes) -> Path:
    path.write_bytes(content.ljust(64 * verity.BLOCK, b"\0"))
    return path


@pytest.mark.tool("veritysetup")
def test_hash_tree_verifies_with_veritysetup(tmp_path: Path) -> None:
    image = _image(tmp_path / "root.img", b"genuine")

    found = verity.format_tree(image, tmp_path / "root.verity")

    subprocess.run(
        ["/usr/sbin/veritysetup", "verify", image, tmp_path / "root.verity", found.root_hash],
        check=True,
    )
    assert found.blocks == 64


@pytest.mark.tool("veritysetup")
def test_changed_image_is_refused_by_its_hash_tree(tmp_path: Path) -> None:
    image = _image(tmp_path / "root.img", b"genuine")
    found = verity.format_tree(image, tmp_path / "root.verity")
    _image(image, b"Genuine")

    done = subprocess.run(
        ["/usr/sbin/veritysetup", "verify", image, tmp_path / "root.verity", found.root_hash],
        check=False,
        capture_output=True,
    )

    assert b"Verification of data area failed" in done.stderr


@pytest.mark.tool("veritysetup")
def test_same_content_has_the_same_root_hash(tmp_path: Path) -> None:
    first = verity.format_tree(_image(tmp_path / "one", b"x"), tmp_path / "one.verity")
    second = verity.format_tree(_image(tmp_path / "two", b"x"), tmp_path / "two.verity")

    assert first == second
    assert (tmp_path / "one.verity").read_bytes() == (tmp_path / "two.verity").read_bytes()


def test_image_that_does_not_end_on_a_block_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root.img").write_bytes(bytes(4097))

    with pytest.raises(FormatError, match="4097 bytes long: expected a multiple of 4096"):
        verity.format_tree(tmp_path / "root.img", tmp_path / "root.verity")


@pytest.mark.tool("mkfs.erofs")
def test_root_file_system_is_the_same_each_time(tmp_path: Path) -> None:
    images = []
    for name in ("one", "two"):
        tree = tmp_path / name
        files = [f"file{number}" for number in range(40)]
        tree.mkdir()
        for file in files if name == "one" else reversed(files):
            (tree / file).write_text(file * 200)
        verity.make_erofs(tree, tmp_path / f"{name}.erofs", epoch=1_000_000_000)
        images.append((tmp_path / f"{name}.erofs").read_bytes())

    assert images[0] == images[1]


def _uboot(version: str) -> SourcePackage:
    file = f"u-boot_{version}.debian.tar.xz"
    archive = Download(uri="u", file=file, size=1, sha256="0" * 64)
    return sources.of_files(uboot.PACKAGE, [archive])


@pytest.mark.tool("dpkg")
@pytest.mark.parametrize("version", [uboot.OLDEST, "2025.01-3+deb13u2", "2026.04-1"])
def test_uboot_with_the_fix_is_taken(version: str) -> None:
    assert uboot.safe(_uboot(version)).version == version


@pytest.mark.tool("dpkg")
@pytest.mark.parametrize("version", ["2025.01-3", "2023.01+dfsg-2", "2025.01-3+deb13u0"])
def test_uboot_with_the_signature_bypass_is_refused(version: str) -> None:
    with pytest.raises(VerificationRefused, match="CVE-2026-46728"):
        uboot.safe(_uboot(version))
