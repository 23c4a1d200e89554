# SPDX-License-Identifier: MIT
"""What is said of files that are not there, or not what they should be."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "from bootseal.cli.app import main; main()"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("fit verify none --dtb text", 4, "text: no device tree found"),
        ("fit verify text --dtb none", 2, "none: No such file"),
        ("fit show empty", 4, "empty: device tree: 0 bytes are too few"),
        ("fit show directory", 2, "directory: Is a directory"),
        ("fit sign text --key none --hint x", 2, "there is no private key at none"),
        (
            "fit sign text --key text --hint x",
            4,
            "text does not hold a private key: no BEGIN and END",
        ),
        ("firmware show text", 4, "text: the FIP has 6 bytes: its header alone has 16"),
        ("firmware verify text", 2, "expected either --mrk or --mrk-hash"),
        ("firmware verify text --mrk-hash 12", 2, "expected the 64 hexadecimal digits"),
        ("firmware build --image tb-fw=none -o new", 2, "none: No such file"),
        ("firmware build --image bl2=text -o new", 2, "TF-A has no image 'bl2'"),
        ("keys list directory", 2, "directory holds no keys.json"),
        ("keys list text", 2, "text is a file: expected a key directory"),
        ("keys show text", 4, "text holds no public key"),
        ("keys audit none", 2, "none: No such file"),
        ("measure predict text", 4, "text: device tree"),
        ("measure log text", 4, "text: event log"),
        ("measure log none", 2, "none: No such file"),
        ("attest verify text --store s --approved text", 4, "text: the approved list is not JSON"),
        ("attest verify text --store s --approved none", 2, "there is no approved list at none"),
        ("boot run directory", 2, "holds no device.json"),
        ("boot run text", 2, "text is a file: expected the directory of a device"),
        ("disk check none", 2, "there is neither a disk image nor a build directory at none"),
        ("disk check text", 2, "--dtb is not given"),
        ("disk check directory", 2, "holds no device.json"),
        ("device config --required text empty", 4, "text:1: 'hello' is not a setting"),
        ("device config --required none empty", 2, "none: No such file"),
        ("device config --required empty directory", 2, "directory: Is a directory"),
        ("reference build text", 2, "text exists and is not a directory"),
    ],
)
def test_wrong_input_is_named_and_leaves_nothing(
    tmp_path: Path, arguments: str, code: int, said: str
) -> None:
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "empty").touch()
    (tmp_path / "directory").mkdir(mode=0o700)
    before = sorted(tmp_path.iterdir())

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments.split()],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before
