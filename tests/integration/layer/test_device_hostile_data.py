# SPDX-License-Identifier: MIT
"""The device's scripts on a data partition that an attacker filled, in every shell at hand."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

LAYER = Path(__file__).parents[3] / "meta-secureboot"
FILES = LAYER / "recipes-core/bootseal-device/files"
SHELLS = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]
SLOT = b"the FIT of slot b"
TIMEOUT = 20


class Board:
    """Directories and programs in the place of those that `mark-good` uses on a device."""

    def __init__(self, root: Path) -> None:
        self.root, self.data, self.run = root, root / "data", root / "run"
        self.boots = self.data / "boots"
        self.calls = root / "calls"
        self.slot = root / "slot"
        self.slot.write_bytes(SLOT)
        tools = root / "bin"
        tools.mkdir()
        self.state = root / "state"
        self.put_state("3")
        self.tool("fw_printenv", f"cat {self.state}")
        self.tool("fw_setenv", f"cat >{self.state}; echo fw_setenv >>{self.calls}")
        self.tool("rollback", f'echo "rollback $*" >>{self.calls}')
        cmdline = root / "cmdline"
        cmdline.write_text("quiet bootseal.slot=a\n")
        text = (FILES / "mark-good").read_text()
        for old, new in {
            "/proc/cmdline": cmdline,
            "/data/bootseal": self.data,
            "/run/bootseal": self.run,
            "/usr/lib/bootseal/rollback": tools / "rollback",
        }.items():
            assert old in text
            text = text.replace(old, str(new))
        self.script = root / "mark-good"
        self.script.write_text(text)

    def put_state(self, left: str) -> None:
        self.state.write_text(f"BOOT_ORDER=A B\nBOOT_A_LEFT={left}\nBOOT_B_LEFT=3\n")

    def tool(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def start(self, shell: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            [shell, *(["sh"] if shell == "busybox" else []), self.script],
            env={
                "PATH": path,
                "LC_ALL": "C",
                "LIBRARY": str(FILES),
                "LOCK": str(self.root / "slot-state.lock"),
                "MARKED": str(self.root / "slot-marked"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def text(content: str) -> Callable[[Board], None]:
    def put(board: Board) -> None:
        board.boots.write_text(content)

    return put


def huge(board: Board) -> None:
    with board.boots.open("wb") as file:
        file.write(b"1")
        file.truncate(1 << 40)


def link_to_number(board: Board) -> None:
    (board.root / "elsewhere").write_text("41\n")
    board.boots.symlink_to(board.root / "elsewhere")


def link_to_zero(board: Board) -> None:
    board.boots.symlink_to("/dev/zero")


def fifo(board: Board) -> None:
    os.mkfifo(board.boots)


def link_to_terminal(board: Board) -> None:
    board.boots.symlink_to("/dev/tty")


HOSTILE = {
    "arithmetic that runs a command": text("PATH[$(id >RAN)0]"),
    "shell text": text("1; id >RAN"),
    "second line": text("41\nlogin\n"),
    "octal": text("010\n"),
    "not octal": text("08"),
    "hexadecimal": text("0x29"),
    "negative": text("-1\n"),
    "ten digits": text("1234567890"),
    "a longer number, whose first digits are one": text("1" * 5000),
    "nothing": text(""),
    "huge": huge,
    "link to a number": link_to_number,
    "link to endless zeros": link_to_zero,
    "link to a terminal": link_to_terminal,
    "dangling link": lambda board: board.boots.symlink_to("nowhere"),
    "FIFO": fifo,
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_count_that_is_not_a_number_starts_again(board: Board, shell: str, name: str) -> None:
    board.data.mkdir()
    HOSTILE[name](board)
    done = board.start(shell)

    assert done.returncode == 0, done.stderr
    assert "not a number" in done.stdout
    assert board.calls.read_text().splitlines()[-1] == "rollback raise"
    assert not (board.root / "RAN").exists()
    assert not Path("RAN").exists()
    assert stat.S_ISREG(board.boots.lstat().st_mode)
    assert board.boots.read_text() == "1\n"
    assert (board.run / "boots").read_text() == "1\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("before", "after"),
    [("", "1"), ("0", "1"), ("41\n", "42"), ("41", "42"), ("999999998\n", "999999999")],
)
def test_boots_are_counted(board: Board, shell: str, before: str, after: str) -> None:
    if before:
        board.data.mkdir()
        board.boots.write_text(before)
    done = board.start(shell)

    assert (done.returncode, done.stdout) == (0, "")
    assert board.boots.read_text() == f"{after}\n"
    assert (board.run / "boots").read_text() == f"{after}\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("kind", ["link", "FIFO"])
def test_new_count_is_not_written_through_what_is_there(
    board: Board, shell: str, kind: str
) -> None:
    board.data.mkdir()
    board.boots.write_text("41\n")
    new = board.data / "boots.new"
    if kind == "link":
        new.symlink_to(board.slot)
    else:
        os.mkfifo(new)
    done = board.start(shell)

    assert (done.returncode, board.boots.read_text()) == (0, "42\n")
    assert board.slot.read_bytes() == SLOT


def directory_is_a_link(board: Board) -> None:
    (board.root / "other").mkdir()
    board.data.symlink_to(board.root / "other")


def directory_is_a_file(board: Board) -> None:
    board.data.write_text("1")


def count_is_a_directory(board: Board) -> None:
    board.boots.mkdir(parents=True)


def new_count_is_a_directory(board: Board) -> None:
    (board.data / "boots.new").mkdir(parents=True)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "put",
    [directory_is_a_link, directory_is_a_file, count_is_a_directory, new_count_is_a_directory],
)
def test_boot_that_cannot_be_counted_is_good_all_the_same(
    board: Board, shell: str, put: Callable[[Board], None]
) -> None:
    put(board)
    done = board.start(shell)

    assert done.returncode == 0, done.stderr
    assert "could not be counted" in done.stdout
    assert board.calls.read_text().splitlines()[-1] == "rollback raise"
    assert not (board.run / "boots").exists()
    assert not (board.root / "other/boots").exists()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("left", "written"), [("2", True), ("3", False)])
def test_without_encrypted_data_the_slot_has_its_attempts_and_nothing_else_happens(
    board: Board, shell: str, left: str, *, written: bool
) -> None:
    (board.root / "bin/rollback").unlink()
    board.put_state(left)
    done = board.start(shell)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    calls = board.calls.read_text() if board.calls.exists() else ""
    assert calls == ("fw_setenv\n" * 2 if written else "")
    assert "BOOT_A_LEFT=3\n" in board.state.read_text()
    assert not board.data.exists()


def scripts() -> list[Path]:
    shebang = re.compile(rb"#!.*sh\b|# shellcheck shell=sh")
    found = [p for p in LAYER.rglob("files/*") if p.is_file() and shebang.match(p.read_bytes())]
    assert {"mark-good", "slot-state", "rollback", "init", "bootseal-status", "tpm"} <= {
        p.name for p in found
    }
    return found


OPENED = {
    "bootseal-app": ["/data/apps"],
    "app-install": ["/data/agent/downloads", "/data/apps"],
    "mark-good": ["/data/bootseal"],
    "state": ["/data/state"],
    "bootseal-identity": ["/data/identity"],
    "greengrass": ["/data/identity/certificate.pem", "/data/greengrass"],
}


@pytest.mark.parametrize("script", scripts(), ids=lambda path: path.name)
def test_a_script_opens_its_own_directory_on_the_data_partition_alone(script: Path) -> None:
    code = re.sub(r"^\s*#.*$", "", script.read_text(), flags=re.MULTILINE)
    opened = re.findall(r"(?<![\w/-])/data/[\w./-]+", code)
    assert opened == OPENED.get(script.name, [])


def a_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("put", [a_link, a_fifo, a_directory])
@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("key.pub", "token"),
        ("key.priv", "token"),
        ("ticket", "prove"),
        ("certificate.pem", "status"),
    ],
)
def test_identity_opens_regular_files_alone(
    tmp_path: Path, shell: str, put: Callable[[Path], None], name: str, verb: str
) -> None:
    done = identity(tmp_path, shell, verb, without=name, put=put)
    assert done.returncode == 1
    assert f"{name} is not a regular file" in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_identity_goes_on_to_the_tpm_with_regular_files(tmp_path: Path, shell: str) -> None:
    done = identity(tmp_path, shell, "token")
    assert "not a regular file" not in done.stderr
    assert "bootseal-identity: the TPM does not load the identity key" in done.stderr


def identity(
    root: Path,
    shell: str,
    verb: str,
    *,
    without: str = "",
    put: Callable[[Path], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the script on a key of five files, one of them put there by someone else."""
    key = root / "identity"
    key.mkdir()
    for name in {"key.pub", "key.priv", "creation-hash", "ticket", "certificate.pem"} - {without}:
        (key / name).write_text("X")
    if put is not None:
        put(key / without)
    tools = root / "bin"
    tools.mkdir()
    # The TPM refuses what it is given, unless the test is about what comes after.
    loads = "true" if verb == "prove" else "false"
    for name, body in {"tpm2_load": loads, "tpm2_flushcontext": "true"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    script = LAYER / "recipes-core/bootseal-identity/files/bootseal-identity"
    arguments = [verb, "00"] if verb == "prove" else [verb]
    return subprocess.run(
        [shell, *(["sh"] if shell == "busybox" else []), script, *arguments],
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "LIBRARY": str(FILES),
            "DATA": os.devnull,
            "KEY_DIR": str(key),
            "TOKEN_DIR": str(root / "token"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


# Where a number may come from before a shell calculates with it: itself, the kernel, bytes that od
# or hex printed as hexadecimal digits, such as the TPM's answer, and text that `number` matched.
CLEAN = re.compile(r"\d+$|\$\(\(|\$\(own_index\)$|\$\(number |\$\(nv_read |\$\(property \d{8}\)")
# What the kernel says of a block device.
SYSFS = re.compile(
    r"\bread -r (\w+) <\"(/sys/class/block/\$name|\$block)/(?:size|start)\"$", re.MULTILINE
)
NAME = re.compile(r"(?<![\w$(])\$?([a-z_]+)(?![\w(/.-])")


@pytest.mark.parametrize("script", scripts(), ids=lambda path: path.name)
def test_arithmetic_is_done_only_on_what_was_matched(script: Path) -> None:
    code = script.read_text()
    sizes = {name for name, _ in SYSFS.findall(code)}
    for line in re.findall(r".*\$\(\(.*", code):
        if line.lstrip().startswith("#"):
            continue
        calculated = line[line.index("$((") + 3 :].split("))")[0]
        # A command in arithmetic gives hexadecimal digits: `hex` and a part of it, od, own_index.
        commands = re.findall(r"(0x)?\$\((\w+)", calculated)
        assert {(x, c) for x, c in commands} <= {
            ("0x", "hex"),
            ("0x", "od"),
            ("0x", "part"),
            ("", "own_index"),
        }, line
        if commands:
            calculated = re.sub(r"0x\$\(.*", "", calculated)
        for name in NAME.findall(calculated):
            values = re.findall(rf"(?<![\w-]){name}=(.*)", code)
            assert values or name in sizes, f"{script.name}: {name} comes from elsewhere: {line}"
            wrong = [v for v in values if not CLEAN.match(v)]
            assert not wrong, f"{script.name}: {name} was not matched: {wrong}"
            assert not re.search(rf"\bread (-r )?.*\b{name}\b", SYSFS.sub("", code)), name


@pytest.mark.parametrize("unit", sorted(FILES.glob("*.service")), ids=lambda path: path.name)
def test_no_unit_waits_for_ever(unit: Path) -> None:
    limits = re.findall(r"^TimeoutStartSec=(\d+)min$", unit.read_text(), re.MULTILINE)
    assert len(limits) == 1
    assert 0 < int(limits[0]) <= 20


def test_data_is_mounted_so_that_nothing_on_it_runs_or_leads_elsewhere() -> None:
    lines = [line.split() for line in (FILES / "fstab").read_text().splitlines()]
    (options,) = [line[3].split(",") for line in lines if line[1:2] == ["/data"]]
    assert {"nosuid", "nodev", "noexec", "nosymfollow"} <= set(options)
