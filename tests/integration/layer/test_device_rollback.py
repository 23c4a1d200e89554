# SPDX-License-Identifier: MIT
"""The device's own script for the rollback index, run against a software TPM."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.layer.device_library import library

from bootseal import proc
from bootseal.boot.machine import swtpm
from bootseal.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.tool("swtpm"), pytest.mark.tool("tpm2_nvdefine")]

SCRIPT = Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-device/files/rollback"
INDEX = "0x01500b00"
ATTRIBUTES = "nt=bits|ppread|ppwrite|authread|authwrite|no_da|policydelete|platformcreate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A powered TPM and the script, which takes its own index from `directory`."""

    directory: Path
    environment: dict[str, str]

    def release(self, index: int) -> None:
        name = self.directory / "bootseal,rollback-index"
        name.write_bytes(index.to_bytes(4))

    def ask(self, version: int) -> None:
        """Have the release say that it is for a boot ROM, and for which boot loaders."""
        (self.directory / "bootseal,firmware-version").write_bytes(version.to_bytes(4))

    def script(self, verb: str) -> subprocess.CompletedProcess[str]:
        text = SCRIPT.read_text().replace("/proc/device-tree/chosen", str(self.directory))
        args = ["sh", "-c", text, "rollback", verb]
        return subprocess.run(
            args, env=self.environment, capture_output=True, text=True, check=False
        )

    def tool(self, name: str, *args: str) -> str:
        done = proc.run(name, args, env=self.environment, cwd=self.directory, timeout=60)
        return done.stdout.decode()


@contextmanager
def powered(directory: Path) -> Iterator[Board]:
    commands = directory / "s"
    environment = {
        "PATH": os.environ["PATH"],
        "TPM2TOOLS_TCTI": f"swtpm:path={commands}",
        "TMPDIR": str(directory),
        "LIBRARY": str(library(directory)),
    }
    with swtpm.serving(directory / "tpm", commands, directory / "said"):
        yield Board(directory=directory, environment=environment)


@pytest.fixture
def chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("b")
    swtpm.manufacture(directory / "tpm")
    return directory


def test_index_is_made_once_and_only_rises(chip: Path) -> None:
    with powered(chip) as board:
        made = board.script("define")
        assert (made.returncode, made.stdout, made.stderr) == (
            0,
            f"bootseal: rollback: TPM index {INDEX} made\n",
            "",
        )
        board.release(2)
        again = board.script("define")
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
        assert board.script("show").stdout == "0\n"
        assert "releases below 2 are refused" in board.script("raise").stdout
        assert (board.script("raise").stdout, board.script("show").stdout) == ("", "2\n")
        board.release(1)
        assert board.script("raise").returncode == 0
        assert board.script("show").stdout == "2\n"


FIRMWARE_INDEX = "0x01500b02"


def test_index_of_the_boot_loader_is_made_for_a_boot_rom_alone(chip: Path) -> None:
    with powered(chip) as board:
        board.release(1)
        for verb in ("define", "raise"):
            assert board.script(verb).returncode == 0
        assert board.script("firmware").returncode == 1
        with pytest.raises(ToolError):
            board.tool("tpm2_nvreadpublic", FIRMWARE_INDEX)


def test_index_of_the_boot_loader_rises_to_what_the_release_asks_for(chip: Path) -> None:
    with powered(chip) as board:
        board.release(1)
        board.ask(3)
        made = board.script("define")
        assert (made.returncode, made.stderr) == (0, "")
        assert made.stdout.count("made\n") == 2
        assert (board.script("define").stdout, board.script("firmware").stdout) == ("", "0\n")
        said = board.script("raise").stdout
        assert "boot loaders below 3 are refused from now on" in said
        assert (board.script("firmware").stdout, board.script("show").stdout) == ("3\n", "1\n")
        assert board.script("raise").stdout == ""
        # An older release still opens its data with a newer boot loader, and lowers nothing.
        board.ask(2)
        for verb in ("define", "raise"):
            assert board.script(verb).returncode == 0
        assert board.script("firmware").stdout == "3\n"
        for hierarchy in ("o", "p"):
            with pytest.raises(ToolError):
                board.tool("tpm2_nvundefine", "-C", hierarchy, FIRMWARE_INDEX)


def test_index_of_the_boot_loader_is_the_one_that_bl1_reads(chip: Path) -> None:
    swtpm.raise_firmware(chip / "tpm", chip)
    with powered(chip) as board:
        board.release(1)
        board.ask(1)
        assert board.script("define").returncode == 0
        assert board.script("firmware").stdout == "2\n"


def test_foreign_index_of_the_boot_loader_is_not_accepted(chip: Path) -> None:
    with powered(chip) as board:
        board.release(1)
        board.ask(1)
        attributes = "nt=bits|authread|authwrite|no_da"
        board.tool("tpm2_nvdefine", "-C", "o", "-s", "8", "-a", attributes, FIRMWARE_INDEX)
        refused = board.script("define")
        assert refused.returncode == 1
        assert f"TPM index {FIRMWARE_INDEX} is not the one that this device" in refused.stdout


def test_release_that_the_tpm_refuses_gets_no_data(chip: Path) -> None:
    with powered(chip) as board:
        board.script("define")
        board.release(2)
        board.script("raise")
        assert board.script("define").returncode == 0
        board.release(1)

        refused = board.script("define")

        assert refused.returncode == 1
        assert "the TPM refuses this release" in refused.stdout


def test_nobody_deletes_the_index(chip: Path) -> None:
    with powered(chip) as board:
        board.script("define")
        board.release(3)
        board.script("raise")
        for hierarchy in ("o", "p"):
            with pytest.raises(ToolError):
                board.tool("tpm2_nvundefine", "-C", hierarchy, INDEX)
        board.tool("tpm2_startauthsession", "--policy-session", "-S", "session")
        with pytest.raises(ToolError):
            board.tool("tpm2_nvundefine", "-S", "session", INDEX)
        board.tool("tpm2_flushcontext", "session")
        board.tool("tpm2_clear", "-c", "p")
        assert board.script("show").stdout == "3\n"
    with powered(chip) as board:
        assert board.script("show").stdout == "3\n"


def test_index_that_could_be_deleted_is_not_accepted(chip: Path) -> None:
    with powered(chip) as board:
        attributes = "nt=bits|authread|authwrite|no_da"
        board.tool("tpm2_nvdefine", "-C", "o", "-s", "8", "-a", attributes, INDEX)
        board.tool("tpm2_nvsetbits", "-C", INDEX, "-i", "0", INDEX)

        refused = board.script("define")

        assert refused.returncode == 1
        assert "is not the one that this device makes" in refused.stdout


def test_index_with_a_deletion_policy_of_somebody_else_is_not_accepted(chip: Path) -> None:
    with powered(chip) as board:
        squat(board)
        for _ in ("unwritten", "written"):
            for verb in ("define", "raise", "show"):
                refused = board.script(verb)
                assert (refused.returncode, refused.stderr) == (1, "")
                assert "is not the one that this device makes" in refused.stdout
            board.tool("tpm2_nvsetbits", "-C", INDEX, "-i", "0", INDEX)

        # Which is right: someone else can delete it.
        board.tool("tpm2_startauthsession", "--policy-session", "-S", "session")
        board.tool("tpm2_policycommandcode", "-S", "session", "TPM2_CC_NV_UndefineSpaceSpecial")
        board.tool("tpm2_nvundefine", "-S", "session", INDEX)


def squat(board: Board) -> None:
    """Define the index first, with the right attributes and a policy that deletes it."""
    board.tool("tpm2_startauthsession", "-S", "trial")
    command = "TPM2_CC_NV_UndefineSpaceSpecial"
    board.tool("tpm2_policycommandcode", "-S", "trial", "-L", "policy", command)
    board.tool("tpm2_flushcontext", "trial")
    args = ["-C", "p", "-s", "8", "-L", "policy", "-a", ATTRIBUTES, INDEX]
    board.tool("tpm2_nvdefine", *args)


def test_index_of_another_size_is_not_accepted(chip: Path) -> None:
    with powered(chip) as board:
        (chip / "never").write_bytes(b"bootseal-this-is-never-undefined")
        attributes = ATTRIBUTES.replace("nt=bits", "nt=ordinary")
        args = ["-C", "p", "-s", "16", "-L", "never", "-a", attributes, INDEX]
        board.tool("tpm2_nvdefine", *args)
        assert "is not the one that this device makes" in board.script("define").stdout


@pytest.mark.parametrize("verb", ["raise", "show"])
def test_index_that_is_not_there_is_said(chip: Path, verb: str) -> None:
    with powered(chip) as board:
        refused = board.script(verb)
        assert refused.returncode == 1
        assert refused.stdout.endswith("makes: its Name is unknown\n")


@pytest.mark.parametrize("written", [False, True])
def test_index_with_a_password_is_not_accepted(chip: Path, *, written: bool) -> None:
    with powered(chip) as board:
        (chip / "never").write_bytes(b"bootseal-this-is-never-undefined")
        args = ["-C", "p", "-s", "8", "-L", "never", "-a", ATTRIBUTES, "-p", "theirs", INDEX]
        board.tool("tpm2_nvdefine", *args)
        if written:
            board.tool("tpm2_nvsetbits", "-C", INDEX, "-P", "theirs", "-i", "0", INDEX)
        refused = board.script("define")
        assert refused.returncode == 1
        why = "cannot be read: it has a password" if written else "cannot be written"
        assert why in refused.stdout


def test_nobody_changes_the_seeds_once_the_hierarchy_is_closed(chip: Path) -> None:
    changes = [["tpm2_changeeps"], ["tpm2_changepps"], ["tpm2_clear", "-c", "p"]]
    with powered(chip) as board:
        board.script("define")
        closed = board.script("close")
        assert (closed.returncode, closed.stdout, closed.stderr) == (0, "", "")
        again = board.script("close")
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
        more = [["tpm2_clear", "-c", "l"], ["tpm2_clearcontrol", "-C", "l", "c"]]
        more += [["tpm2_hierarchycontrol", "-C", "p", "phEnable", "set"]]
        for change in changes + more:
            with pytest.raises(ToolError):
                board.tool(*change)
        # What the index is for still works.
        board.release(1)
        assert board.script("raise").returncode == 0
        assert board.script("show").stdout == "1\n"


def test_chip_that_was_closed_can_be_cleared_at_the_next_start(chip: Path) -> None:
    with powered(chip) as board:
        board.script("define")
        board.release(1)
        board.script("raise")
        board.script("close")
    swtpm.clear(chip / "tpm", chip)
    with powered(chip) as board:
        assert board.script("show").stdout == "1\n"


def test_hierarchy_that_cannot_be_closed_is_an_error(chip: Path) -> None:
    with powered(chip) as board:
        board.tool("tpm2_changeauth", "-c", "p", "theirs")
        refused = board.script("close")
        assert refused.returncode == 1
        assert "bootseal: rollback: the TPM" in refused.stdout
    with powered(chip) as board:
        board.environment["TPM2TOOLS_TCTI"] = "swtpm:path=/nonexistent"
        assert board.script("close").returncode == 1


# TPM2_NV_ReadPublic of the index, as the initramfs sends it, and where it takes the Name from.
READ_PUBLIC = bytes.fromhex("8001 0000000e 00000169 01500b00")
INIT = SCRIPT.parents[2] / "bootseal-initramfs/files/init"


def test_initramfs_knows_the_index_by_the_same_names(chip: Path) -> None:
    names = {
        path.name: re.findall(r"^(fresh|written)=(\w+)$", path.read_text(), re.MULTILINE)
        for path in (SCRIPT, INIT)
    }
    assert names["rollback"] == names["init"]
    fresh, written = (value for _, value in names["init"])
    text = INIT.read_text()
    assert "code=$(tpm 8001 0000000e 00000169 01500b00)" in text
    assert "case $(hex 60 34 /run/tpm) in" in text
    with powered(chip) as board:
        (chip / "never").write_bytes(b"bootseal-this-is-never-undefined")
        args = ["-C", "p", "-s", "8", "-L", "never", "-a", ATTRIBUTES, INDEX]
        board.tool("tpm2_nvdefine", *args)
        assert name_in(board) == fresh
        assert board.script("define").returncode == 0
        assert name_in(board) == written


def name_in(board: Board) -> str:
    """Return the Name at the place of the answer where the initramfs looks for it."""
    (board.directory / "command").write_bytes(READ_PUBLIC)
    args = ["-o", "answer", "command"]
    board.tool("tpm2_send", *args)
    return (board.directory / "answer").read_bytes()[60:94].hex()


def test_first_boot_cut_off_in_between_is_completed(chip: Path) -> None:
    with powered(chip) as board:
        (chip / "never").write_bytes(b"bootseal-this-is-never-undefined")
        args = ["-C", "p", "-s", "8", "-L", "never", "-a", ATTRIBUTES, INDEX]
        board.tool("tpm2_nvdefine", *args)
        assert board.script("show").returncode != 0

        assert board.script("define").returncode == 0
        assert board.script("show").stdout == "0\n"


def test_full_tpm_is_said_and_fails(chip: Path) -> None:
    swtpm.fill(chip / "tpm", chip)
    with powered(chip) as board:
        refused = board.script("define")

        assert refused.returncode == 1
        assert f"the TPM has no room for index {INDEX}" in refused.stdout


def test_lockout_parameters_are_set_and_lockout_does_not_matter(chip: Path) -> None:
    with powered(chip) as board:
        board.script("define")
        assert "TPM2_PT_MAX_AUTH_FAIL: 0x1F" in board.tool("tpm2_getcap", "properties-variable")
    swtpm.lock_out(chip / "tpm", chip)
    with powered(chip) as board:
        assert "inLockout:                 1" in board.tool("tpm2_getcap", "properties-variable")
        board.release(1)
        assert board.script("raise").returncode == 0
        assert board.script("show").stdout == "1\n"
