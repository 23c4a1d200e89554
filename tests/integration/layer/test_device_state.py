# SPDX-License-Identifier: MIT
"""Where the product's state is found in a boot, whatever an attacker left on the data partition."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

LAYER = Path(__file__).parents[3] / "meta-secureboot"
SCRIPT = LAYER / "recipes-core/bootseal-state/files/state"
SHELLS = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]
PLACE = "/var/lib/product"
FIRST, SECOND = "1" * 32, "2" * 32
KEPT = "bootseal: state: kept\n"


class Board:
    """Directories and programs in the place of those that `state` uses on a device."""

    def __init__(self, root: Path) -> None:
        self.root, self.data, self.run = root, root / "data", root / "run"
        self.state = self.data / "state"
        self.memory = root / "memory"
        self.machine_id = root / "machine-id"
        self.journal = root / "journal"
        self.block = root / "block"
        self.calls = root / "calls"
        places = root / "state-places"
        places.write_text(f"/etc/machine-id\n{PLACE}\n")
        self.data.mkdir()
        self.open()
        self.chosen(FIRST)
        self.tools = root / "bin"
        self.tools.mkdir()
        self.tool("systemctl", f'echo "$*" >>{self.calls}')
        text = SCRIPT.read_text()
        for old, new in {
            "/usr/lib/bootseal/state-places": places,
            "run=/run/bootseal": f"run={self.run}",
            "kept=/data/state": f"kept={self.state}",
            "directory /data /state": f"directory {self.data} /state",
            "/var/.bootseal-state": self.memory,
            "machine_id=/run/machine-id": f"machine_id={self.machine_id}",
            "journal=/run/log/journal": f"journal={self.journal}",
            "[ ! -b /dev/mapper/data ]": f"[ ! -e {self.block} ]",
        }.items():
            assert old in text, old
            text = text.replace(old, str(new))
        self.script = root / "state"
        self.script.write_text(text)

    def open(self) -> None:
        self.block.touch()

    def chosen(self, machine_id: str) -> None:
        """Have systemd choose this id for the boot."""
        self.machine_id.write_text(f"{machine_id}\n")

    def tool(self, name: str, body: str) -> None:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def start(self, shell: str, *, silent: bool = True) -> str:
        """Run it; return what it says, and fail if it fails: then the boot would."""
        done = subprocess.run(
            [shell, *(["sh"] if shell == "busybox" else []), self.script],
            env={"PATH": f"{self.tools}:{os.environ['PATH']}", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert done.returncode == 0
        assert not (silent and done.stderr)
        return done.stdout

    def report(self) -> str:
        return (self.run / "state-report").read_text()

    def link(self) -> Path:
        return (self.run / f"state{PLACE}").readlink()

    def current_id(self) -> str:
        return self.machine_id.read_text().rstrip()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


each_shell = pytest.mark.parametrize("shell", SHELLS)


@each_shell
def test_first_boot_keeps_its_id_and_the_next_one_takes_it(board: Board, shell: str) -> None:
    assert board.start(shell) == KEPT
    assert board.link() == Path(f"{board.state}{PLACE}")
    (board.link() / "key").write_text("secret")

    board.chosen(SECOND)
    (board.journal / SECOND).mkdir(parents=True)
    assert board.start(shell) == KEPT
    assert board.current_id() == FIRST
    assert (board.link() / "key").read_text() == "secret"
    assert board.report() == f"kept /etc/machine-id\nkept {PLACE}\n"
    # What the journal has of this boot is found under the id that it has from now on.
    assert [path.name for path in board.journal.iterdir()] == [FIRST]
    assert "--no-block restart systemd-journald.service" in board.calls.read_text()


@each_shell
def test_with_the_data_closed_state_is_in_memory(board: Board, shell: str) -> None:
    board.start(shell)
    board.block.unlink()
    board.chosen(SECOND)

    said = board.start(shell)
    assert said == (
        f"<4>bootseal: state: gone at the next start: /etc/machine-id {PLACE}:"
        " the data partition is closed\n"
    )
    assert board.link() == Path(f"{board.memory}{PLACE}")
    assert board.link().is_dir()
    assert board.current_id() == SECOND
    assert board.report() == f"volatile /etc/machine-id\nvolatile {PLACE}\n"


@each_shell
def test_data_that_cannot_be_mounted_do_not_end_the_boot(board: Board, shell: str) -> None:
    board.tool("systemctl", "exit 1")
    assert "the data partition cannot be mounted" in board.start(shell)
    assert board.link() == Path(f"{board.memory}{PLACE}")


def link(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir(parents=True)
    path.symlink_to(elsewhere)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def file(path: Path) -> None:
    path.write_text("x")


def fifo(path: Path) -> None:
    os.mkfifo(path)


NO_DIRECTORY = [link, dangling, file, fifo]


@each_shell
@pytest.mark.parametrize("put", NO_DIRECTORY)
@pytest.mark.parametrize("step", ["var", "var/lib", "var/lib/product"])
def test_nothing_on_the_way_to_a_place_is_followed(
    board: Board, shell: str, put: Callable[[Path], None], step: str
) -> None:
    hostile = board.state / step
    hostile.parent.mkdir(parents=True)
    put(hostile)

    said = board.start(shell)
    why = "its name is taken by something else"
    assert said == f"<4>bootseal: state: gone at the next start: {PLACE}: {why}\n"
    assert board.link() == Path(f"{board.memory}{PLACE}")
    assert board.report() == f"kept /etc/machine-id\nvolatile {PLACE}\n"
    elsewhere = hostile.parent / "elsewhere"
    assert not elsewhere.exists() or not list(elsewhere.iterdir())


@each_shell
@pytest.mark.parametrize("put", NO_DIRECTORY)
def test_without_a_directory_for_state_all_of_it_is_in_memory(
    board: Board, shell: str, put: Callable[[Path], None]
) -> None:
    put(board.state)
    said = board.start(shell)
    assert f"{PLACE}: on the data partition, the name state is taken by something else" in said
    assert board.report() == f"volatile /etc/machine-id\nvolatile {PLACE}\n"


def text(content: str) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        path.write_text(content)

    return put


def huge(path: Path) -> None:
    with path.open("wb") as sparse:
        sparse.write(SECOND.encode())
        sparse.truncate(1 << 40)


def link_to_an_id(path: Path) -> None:
    other = path.parent / "other-id"
    other.write_text(f"{SECOND}\n")
    path.symlink_to(other)


HOSTILE_IDS = {
    "nothing": text(""),
    "zeros": text("0" * 32),
    "short": text("2" * 31),
    "long": text("2" * 33),
    "capitals": text("A" * 32),
    "two lines": text(f"{SECOND}\nx"),
    "shell text": text("$(id >RAN)"),
    "control characters": text("\x1b]0;x\x07" + "2" * 25),
    "huge": huge,
    "link to an id": link_to_an_id,
    "link to endless zeros": lambda path: path.symlink_to("/dev/zero"),
    "link to a terminal": lambda path: path.symlink_to("/dev/tty"),
    "FIFO": fifo,
}


@each_shell
@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_id_of_another_form_is_replaced(board: Board, shell: str, name: str) -> None:
    (board.state / "etc").mkdir(parents=True)
    HOSTILE_IDS[name](board.state / "etc/machine-id")

    said = board.start(shell)
    assert said.splitlines() == [
        "<4>bootseal: state: what is kept of the machine id is none; it is another one now",
        KEPT.rstrip(),
    ]
    kept = board.state / "etc/machine-id"
    assert not kept.is_symlink()
    assert kept.read_text() == f"{FIRST}\n"
    assert board.current_id() == FIRST
    assert not (board.root / "RAN").exists()


@each_shell
@pytest.mark.parametrize("name", ["machine-id", "machine-id.new"])
def test_id_that_cannot_be_kept_does_not_end_the_boot(board: Board, shell: str, name: str) -> None:
    (board.state / "etc" / name).mkdir(parents=True)
    assert "gone at the next start: /etc/machine-id:" in board.start(shell, silent=False)
    assert board.report() == f"volatile /etc/machine-id\nkept {PLACE}\n"


@each_shell
def test_new_id_is_not_written_through_what_is_there(board: Board, shell: str) -> None:
    (board.state / "etc").mkdir(parents=True)
    other = board.root / "other"
    other.write_text("as it was")
    (board.state / "etc/machine-id.new").symlink_to(other)
    assert board.start(shell) == KEPT
    assert other.read_text() == "as it was"
    assert (board.state / "etc/machine-id").read_text() == f"{FIRST}\n"
