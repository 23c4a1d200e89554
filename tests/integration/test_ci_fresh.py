# SPDX-License-Identifier: MIT
"""What ci/fresh says when it cannot start; its own runs take minutes, root and a mirror."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FRESH = Path(__file__).parents[2] / "ci/fresh"


def fresh(tools: Path, *args: str, uid: int = 0) -> subprocess.CompletedProcess[str]:
    """Run it with no other program than the shell's, of which `id` says what `uid` says."""
    for name in ("sh", "dirname", "cat"):
        (tools / name).symlink_to(shutil.which(name) or "")
    (tools / "id").write_text(f"#!/bin/sh\necho {uid}\n")
    (tools / "id").chmod(0o755)
    return subprocess.run(
        [FRESH, *args], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )


def test_help_goes_to_standard_output(tmp_path: Path) -> None:
    done = fresh(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ci/fresh ")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "which Debian: 12 or 13?"),
        (("14", "true"), "unknown release 14: 12 or 13"),
        (("13",), "no command: ci/fresh 13 ci/demo"),
        (("--again", "13", "true"), "unknown option --again"),
        (("--directory",), "--directory needs a directory"),
    ],
    ids=["nothing", "unknown release", "no command", "unknown option", "no directory"],
)
def test_wrong_usage_is_named(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    done = fresh(tmp_path, *args)
    assert done.returncode == 2
    assert f"fresh: {said}\n" in done.stderr


def test_user_is_told_to_be_root(tmp_path: Path) -> None:
    done = fresh(tmp_path, "13", "true", uid=1000)
    assert done.returncode == 5
    assert "sudo ci/fresh" in done.stderr


def test_missing_debootstrap_is_told_how_to_install(tmp_path: Path) -> None:
    done = fresh(tmp_path, "13", "true")
    assert done.returncode == 5
    assert done.stderr == "fresh: debootstrap is missing: apt-get install debootstrap\n"
