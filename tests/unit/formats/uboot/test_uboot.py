# SPDX-License-Identifier: MIT
"""What U-Boot's binary says of itself: its version, and whether it has the gate."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bootseal.errors import FormatError
from bootseal.formats.uboot.binary import gate_version, version_string

FILES = Path(__file__).parents[4] / "meta-secureboot/recipes-bsp/u-boot/files"


def test_gate_marker_of_the_patch_is_recognised() -> None:
    (patch,) = FILES.glob("0001-*.patch")
    marker = re.search(r'#define BOOTSEAL_GATE_MARKER "(.+)"', patch.read_text())

    assert marker is not None
    assert gate_version(b"code\0" + marker[1].encode() + b"\0more") == 1


@pytest.mark.parametrize(
    "binary",
    [
        b"",
        b"U-Boot 2026.01\0",
        b"bootseal gate 0\0",
        b"bootseal gate x\0",
        b"bootseal gate " + b"1" * 5000 + b"\0",
    ],
)
def test_uboot_without_the_gate_has_version_0(binary: bytes) -> None:
    assert gate_version(binary) == 0


def test_gate_limit_is_what_the_boot_logic_reads() -> None:
    blocks = re.search(r"^fit_blocks=(\w+)$", (FILES / "bootseal.env").read_text(), re.MULTILINE)
    limit = re.search(
        r"^CONFIG_BOOTSEAL_FIT_MAX_SIZE=(\w+)$", (FILES / "verify.cfg").read_text(), re.MULTILINE
    )

    assert blocks is not None
    assert limit is not None
    assert int(limit[1], 0) == int(blocks[1], 0) * 512


VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"


@pytest.mark.parametrize(
    "binary",
    [
        b"code\0" + VERSION + b"\0more",
        VERSION + b"\0U-Boot SPL 2025.01 (Jan 01 2026 - 00:00:00 +0000)\0",
        b"U-Boot 2025.01\0" + VERSION + b"\0" + VERSION + b"\0",
    ],
    ids=["alone", "with-spl", "twice"],
)
def test_version_string_is_the_one_u_boot_measures(binary: bytes) -> None:
    assert version_string(binary) == VERSION


def test_version_string_with_a_local_version_and_build_tag_is_read_whole() -> None:
    version = b"U-Boot 2026.01-bootseal-gdeadbee (Nov 22 2026 - 04:49:03 +0000) board, Build: 7"

    assert version_string(version + b"\0") == version


@pytest.mark.parametrize(
    ("binary", "count"),
    [
        (b"", 0),
        (VERSION, 0),
        (b"U-Boot 2025.01\0", 0),
        (VERSION + b"\0" + VERSION.replace(b"Jan", b"Feb") + b"\0", 2),
    ],
    ids=["empty", "not-ended", "no-time", "two"],
)
def test_version_string_that_is_not_one_is_refused(binary: bytes, count: int) -> None:
    with pytest.raises(FormatError, match=f"holds {count} version strings"):
        version_string(binary)
