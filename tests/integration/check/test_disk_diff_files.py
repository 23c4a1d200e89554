# SPDX-License-Identifier: MIT
"""Files of two root file systems, compared by content, mode, owner and target."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.tool("mkfs.erofs", "fsck.erofs", "sfdisk")


def make_disk(directory: Path) -> Path:
    image, disk = directory / "root.erofs", directory / "disk.img"
    subprocess.run(["mkfs.erofs", "--quiet", image, directory / "tree"], check=True)
    with disk.open("wb") as file:
        file.truncate(8 << 20)
    table = (
        b"label: gpt\nstart=1MiB,size=2MiB,name=root-a\nstart=3MiB,size=1MiB,name=root-a-verity\n"
    )
    subprocess.run(["/sbin/sfdisk", "-q", disk], input=table, check=True)
    with disk.open("r+b") as file:
        file.seek(1 << 20)
        file.write(image.read_bytes())
    return disk


def make_tree(directory: Path) -> Path:
    root = directory / "tree"
    (root / "etc").mkdir(parents=True)
    for name in ("same", "changed", "mode", "removed"):
        (root / "etc" / name).write_text(name)
    (root / "etc/link").symlink_to("same")
    return root


def test_files_are_compared(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    make_tree(old)
    root = make_tree(new)
    (root / "etc/changed").write_text("otherwise")
    (root / "etc/mode").chmod(0o4755)
    (root / "etc/removed").unlink()
    (root / "etc/added").write_text("new")
    (root / "etc/link").unlink()
    (root / "etc/link").symlink_to("changed")

    command = [Path(sys.executable).with_name("bootseal"), "disk", "diff", "--json"]
    done = subprocess.run(
        [*map(str, command), make_disk(old), make_disk(new)], check=True, capture_output=True
    )

    document = json.loads(done.stdout)
    assert document["schema"] == "bootseal.disk-diff/1"
    files = {
        (c["where"].removeprefix("root-a:/etc/"), c["name"]): (c["before"], c["after"])
        for c in document["changes"]
        if c["part"] == "file"
    }
    assert files.keys() == {
        ("added", ""),
        ("changed", "content"),
        ("link", "target"),
        ("mode", "mode"),
        ("removed", ""),
    }
    assert files["mode", "mode"] == ("-rw-r--r--", "-rwsr-xr-x")
    assert files["link", "target"] == ("same", "changed")
    assert files["added", ""][0] == "" != files["added", ""][1]
