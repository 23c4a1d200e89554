# SPDX-License-Identifier: MIT
"""A U-Boot with the gate is told from one without."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bootseal.formats.uboot import gate_version

FILES = Path(__file__).parents[3] / "meta-secureboot/recipes-bsp/u-boot/files"


def test_gate_marker_of_the_patch_is_recognised() -> None:
    (patch,) = FILES.glob("0001-*.patch")
    marker = re.search(r'#define BOOTSEAL_GATE_MARKER "(.+)"', patch.read_text())

    assert marker is not None
    assert gate_version(b"code\0" + marker[1].encode() + b"\0more") == 1


@pytest.mark.parametrize(
    "binary", [b"", b"U-Boot 2026.01\0", b"bootseal gate 0\0", b"bootseal gate x\0"]
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
