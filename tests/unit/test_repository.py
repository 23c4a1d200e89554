# SPDX-License-Identifier: MIT
"""What holds for the repository as a whole."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

from bootseal.cli.doctor import TOOLS

ROOT = Path(__file__).parents[2]
# Present on every Debian machine.
_ESSENTIAL = {"apt", "dpkg", "util-linux"}
# These read what they, or the programs they ran, have written, and what the package brings.
OWN_FILES = (
    *("assembly/", "boot/", "files.py", "reference/"),
    *("disk/filesystems/ext4.py", "fit/build.py", "fit/mkimage.py", "keys/published.py"),
    *("report/serial_log.py", "resign/copy.py"),
)


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [ROOT / name for name in listing.decode().split("\0") if name]


def test_python_files_all_name_their_licence() -> None:
    missing = [
        path.relative_to(ROOT)
        for path in tracked()
        if path.suffix == ".py" and "SPDX-License-Identifier: MIT" not in path.read_text()[:120]
    ]
    assert missing == []


def test_tracked_files_hold_no_private_key() -> None:
    marker = re.compile(rb"BEGIN (RSA |EC |ENCRYPTED )?PRIVATE KEY-----\n[A-Za-z0-9+/]")
    assert [p for p in tracked() if p.is_file() and marker.search(p.read_bytes())] == []


def test_lines_of_the_layer_do_not_end_with_a_space() -> None:
    layer = [p for p in tracked() if "meta-secureboot" in p.parts and p.suffix != ".patch"]
    assert [p for p in layer if re.search(rb"[ \t]$", p.read_bytes(), re.MULTILINE)] == []


def test_modules_stay_small_enough_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "tools").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_folders_stay_small_enough_to_know() -> None:
    folders = Counter(path.parent.relative_to(ROOT) for path in tracked() if path.suffix == ".py")
    assert {str(folder): files for folder, files in folders.items() if files > 16} == {}


def test_input_files_are_opened_by_files() -> None:
    """A FIFO never ends, a sparse file is larger than memory: what a user names may be either."""
    bare = re.compile(r"(?<!inputs)\.read_(bytes|text)\(|\.open\(\"r")
    package = ROOT / "tools/bootseal"
    found = {
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if not str(path.relative_to(package)).startswith(OWN_FILES)
        for line in path.read_text().splitlines()
        if bare.search(line) and "__file__" not in line
    }
    assert found == set()


def test_setup_installs_every_package_doctor_names() -> None:
    lines = (ROOT / "ci/apt-packages.txt").read_text().splitlines()
    installed = {line for line in lines if not line.startswith("#")}
    assert {tool.package for tool in TOOLS} - installed - _ESSENTIAL == set()


def test_apt_packages_are_sorted_and_unique() -> None:
    lines = (ROOT / "ci/apt-packages.txt").read_text().splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert packages == sorted(set(packages))


def test_schemas_in_code_are_documented() -> None:
    named = re.compile(r"bootseal\.[a-z-]+/1")
    code = set()
    for path in (ROOT / "tools").rglob("*.py"):
        code |= set(named.findall(path.read_text()))
    assert code - set(named.findall((ROOT / "docs/exit-codes.md").read_text())) == set()


def test_every_hook_of_pre_commit_is_a_step_of_check() -> None:
    entries = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    steps = re.search(r'^fast_steps="(.*)"\n', (ROOT / "ci/check").read_text(), re.MULTILINE)
    assert steps is not None
    assert sorted(entry.split()[-1] for entry in entries) == sorted([*steps[1].split(), "recipes"])
    assert {entry.split()[0] for entry in entries} == {"ci/check"}
