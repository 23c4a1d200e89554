# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.assembly import disk_image
from bootseal.disk.layout import parse_wks
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

LAYOUT = parse_wks(
    "bootloader --ptable gpt\n"
    "part --source rawcopy --sourceparams=file=a.img --part-name one --align 1024 --fixed-size 1M"
    " --part-type 3DE21764-95BD-54BD-A5C3-4ABE786F38A8\n"
)


def test_file_larger_than_its_partition_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.img"
    source.write_bytes(bytes((1 << 20) + 1))

    with pytest.raises(UsageError, match=r"a\.img .* does not fit the partition one"):
        disk_image.write(LAYOUT, {"a.img": source}, tmp_path / "disk.img")

    assert list(tmp_path.iterdir()) == [source]


def test_file_the_layout_wants_but_nobody_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"partition one wants a\.img"):
        disk_image.write(LAYOUT, {}, tmp_path / "disk.img")
