# SPDX-License-Identifier: MIT
"""The scripts that run on the device: POSIX shell, and nothing that shellcheck warns of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

LAYER = Path(__file__).parents[2] / "meta-secureboot"
SCRIPTS = sorted(
    path
    for path in LAYER.rglob("files/*")
    if path.is_file()
    and path.read_bytes().startswith((b"#!/bin/sh", b"#!/bin/busybox sh", b"# shellcheck shell=sh"))
)


def test_the_device_has_scripts_to_check() -> None:
    assert {"init", "bootseal-status", "create-data", "tpm"} <= {path.name for path in SCRIPTS}


@pytest.mark.tool("busybox")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_parses_in_busybox(script: Path) -> None:
    done = subprocess.run(
        ["busybox", "sh", "-n", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.tool("shellcheck")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_passes_shellcheck(script: Path) -> None:
    done = subprocess.run(
        ["shellcheck", "-x", "-s", "sh", "-f", "gcc", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
