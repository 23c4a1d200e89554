# SPDX-License-Identifier: MIT
"""The header of qcow2 images, as qemu-img writes it."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError
from bootseal.formats import qcow2

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("qemu-img")


def made(path: Path, *options: str) -> qcow2.Qcow2Header:
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *options, path], check=True, cwd=path.parent
    )
    return qcow2.parse(path.read_bytes()[: qcow2.HEAD])


def test_backing_file_and_its_format_are_read(tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(1 << 20))
    found = made(tmp_path / "a", "-F", "raw", "-b", str(tmp_path / "disk.img"))

    assert (found.backing, found.backing_format) == (str(tmp_path / "disk.img"), "raw")
    assert (found.data_file, found.features, found.encrypted) == (False, 0, False)


def test_data_in_another_file_is_seen(tmp_path: Path) -> None:
    subprocess.run(
        [
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "-o",
            "data_file=d,data_file_raw=on",
            "a",
            "1M",
        ],
        check=True,
        cwd=tmp_path,
    )
    found = qcow2.parse((tmp_path / "a").read_bytes())

    assert found.data_file
    assert found.features == 4


def test_cut_and_changed_headers_end_in_a_format_error(tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(1 << 20))
    made(tmp_path / "a", "-F", "raw", "-b", str(tmp_path / "disk.img"))
    data, choice = (tmp_path / "a").read_bytes()[:1024], random.Random(1)  # noqa: S311
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(3):
            changed[choice.randrange(300)] = choice.randrange(256)
        for each in (bytes(changed), data[: choice.randrange(1024)]):
            try:
                qcow2.parse(each)
            except FormatError:
                continue


@pytest.mark.parametrize("head", [b"", b"QFI\xfb", b"QFI\xfb\0\0\0\2" + bytes(200)])
def test_what_is_not_a_header_is_refused(head: bytes) -> None:
    with pytest.raises(FormatError, match="qcow2 image"):
        qcow2.parse(head)
