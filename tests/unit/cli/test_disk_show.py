# SPDX-License-Identifier: MIT
"""`bootseal disk show` of disks that nothing is declared of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bootseal import proc
from bootseal.cli.disk import app
from bootseal.errors import FormatError
from bootseal.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

GPT = "label: gpt\nstart=2048, size=8192, name=boot\n"
MBR = "label: dos\nstart=2048, size=8192, type=c, bootable\nstart=10240, type=83\n"


def disk(tmp_path: Path, script: str) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(16 * MIB))
    if script:
        proc.run("sfdisk", ["-q", path], stdin=script.encode(), timeout=30)
    return path


def show(path: Path, *options: str) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["show", str(path), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def test_partitions_of_any_gpt_disk_are_printed(tmp_path: Path) -> None:
    path = disk(tmp_path, GPT)

    stdout, stderr = show(path)
    assert "boot" in stdout
    assert "0x100000" in stdout
    assert "Declared" not in stdout
    assert not stderr

    document = json.loads(show(path, "--json")[0])
    assert document["schema"] == "bootseal.disk/2"
    assert document["table"] == "gpt"
    assert [each["name"] for each in document["partitions"]] == ["boot"]


def test_partitions_of_an_mbr_disk_are_printed_and_the_table_is_named(tmp_path: Path) -> None:
    path = disk(tmp_path, MBR)

    stdout, _ = show(path)
    assert "MBR (DOS) partition table" in stdout
    assert "0x0c (active)" in stdout

    document = json.loads(show(path, "--json")[0])
    assert document["table"] == "mbr"
    assert [each["type"] for each in document["partitions"]] == [0x0C, 0x83]


def test_damaged_table_of_any_disk_is_said(tmp_path: Path) -> None:
    path = disk(tmp_path, GPT)
    with path.open("r+b") as file:
        file.seek(-512, 2)
        file.write(bytes(512))

    _, stderr = show(path)
    assert "WARNING: found 0000000000000000" in stderr


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(MIB), "has no partition table"),
        (b"QFI\xfb" + bytes(MIB - 4), "is a qcow2 disk image"),
    ],
    ids=["zeros", "qcow2"],
)
def test_file_without_a_partition_table_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(data)

    with pytest.raises(FormatError, match=reason):
        show(path)
