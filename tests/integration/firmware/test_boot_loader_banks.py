# SPDX-License-Identifier: MIT
"""The script that has the banks of boot loaders follow the release, in every shell at hand.

The disk is files, and the boot ROM is a function that does what `bootseal_bank.c` does with them:
it starts the bank that is chosen if it is one of those that verify, otherwise the other one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from bootseal.formats import bank_choice, boot_partition, fip
from bootseal.formats.bank_choice import Phase
from bootseal.units import KIB, MIB

LAYER: Final = Path(__file__).parents[3] / "meta-secureboot/recipes-core"
SCRIPT: Final = LAYER / "bootseal-boot-loaders/files/boot-loaders"
LIBRARY: Final = LAYER / "bootseal-device/files/tpm"
SHELLS: Final = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]
TIMEOUT: Final = 60
BOOT: Final = 5 * MIB
A, B = 0, 1

if TYPE_CHECKING:
    from collections.abc import Callable


def loaders(name: bytes) -> bytes:
    """Return a bank: a FIP as far as its header, and something in its first and last chunks."""
    head = fip.HEADER + name * 5000
    middle = head.ljust(400 * KIB, b"\0") + name * 100
    return middle.ljust(4 * MIB - len(name), b"\0") + name


OLD, NEW, BAD = loaders(b"old"), loaders(b"new"), loaders(b"bad")
GOOD: Final = (OLD, NEW)

# Cuts the power in the write of the given number: half of it is done, and nothing after it.
_DD: Final = """#!/bin/sh
for each; do
	case $each in
	of=*) target=${{each#of=}} ;;
	count=*) count=${{each#count=}} ;;
	esac
done
[ -n "${{target-}}" ] || exec {dd} "$@"
echo "$target" >>{writes}
if [ "$(wc -l <{writes})" != "$CUT" ]; then exec {dd} "$@"; fi
if [ "$count" -gt 1 ]; then {dd} "$@" count=$((count / 2)); fi
kill -9 $PPID
"""


class Board:
    """A device with two banks, and a slot whose release brings boot loaders."""

    def __init__(self, root: Path, shell: str, brought: bytes = NEW) -> None:
        self.root, self.shell = root, shell
        self.disks, self.chosen, self.run = root / "disks", root / "chosen", root / "run"
        for directory in (self.disks, self.chosen, self.run, root / "bin", root / "lib"):
            directory.mkdir()
        boot = boot_partition.emit(b"FIT", b"{}", BOOT, brought) if brought else bytes(BOOT)
        self.partition("boot-a", boot, 100_000)
        self.partition("bootstate", bytes(MIB), 2048)
        self.partition("fw-a", OLD, 4096)
        self.partition("fw-b", OLD, 12288)
        (root / "cmdline").write_text("quiet bootseal.slot=a bootseal.blocks=1\n")
        (root / "lib/tpm").symlink_to(LIBRARY)
        self.calls, self.writes = root / "calls", root / "writes"
        self.tool(root / "lib/rollback", f'echo "rollback $*" >>{self.calls}')
        self.tool(root / "bin/systemctl", f'echo "systemctl $*" >>{self.calls}')
        dd = root / "bin/dd"
        dd.write_text(_DD.format(dd=shutil.which("dd"), writes=self.writes))
        dd.chmod(0o755)

    @staticmethod
    def tool(path: Path, body: str) -> None:
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def partition(self, name: str, content: bytes, start: int) -> None:
        (self.disks / name).write_bytes(content)
        about = self.root / "block" / name
        about.mkdir(parents=True, exist_ok=True)
        (about / "size").write_text(f"{len(content) // 512}\n")
        (about / "start").write_text(f"{start}\n")

    def bank(self, number: int) -> bytes:
        return (self.disks / f"fw-{'ab'[number]}").read_bytes()

    def put(self, number: int, content: bytes) -> None:
        (self.disks / f"fw-{'ab'[number]}").write_bytes(content)

    @property
    def block(self) -> bytes:
        content = (self.disks / "bootstate").read_bytes()
        assert not any(content[: bank_choice.PLACE])
        assert not any(content[bank_choice.PLACE + bank_choice.SIZE :])
        return content[bank_choice.PLACE :][: bank_choice.SIZE]

    @block.setter
    def block(self, content: bytes) -> None:
        with (self.disks / "bootstate").open("r+b") as file:
            file.seek(bank_choice.PLACE)
            file.write(content)

    @property
    def choice(self) -> bank_choice.Choice:
        return bank_choice.parse(self.block)

    def rom(self) -> int:
        """Start a bank as the boot ROM does, and have U-Boot say which it is."""
        wanted = int(self.block[:8] == bank_choice.emit(1)[:8])
        found = next(n for n in (wanted, 1 - wanted) if self.bank(n) in GOOD)
        (self.chosen / "bootseal,bank").write_bytes(found.to_bytes(4))
        shutil.rmtree(self.run)
        self.run.mkdir()
        return found

    def call(self, what: str, cut: int = 0) -> subprocess.CompletedProcess[str]:
        self.writes.write_text("")
        return subprocess.run(
            [self.shell, *(["sh"] if self.shell == "busybox" else []), SCRIPT, what],
            env={
                "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
                "LIBRARY": str(self.root / "lib"),
                "DISKS": str(self.disks),
                "BLOCK": str(self.root / "block"),
                "CHOSEN": str(self.chosen),
                "CMDLINE": str(self.root / "cmdline"),
                "RUN": str(self.run),
                "CACHES": str(self.root / "caches"),
                "CUT": str(cut),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )

    def started(self) -> str:
        """Start once, and be good; return what was said."""
        self.rom()
        said = ""
        for what in ("begin", "follow"):
            done = self.call(what)
            assert (done.returncode, done.stderr) == (0, ""), done
            said += done.stdout
        return said

    def report(self) -> list[str]:
        return (self.run / "boot-loaders").read_text().split()


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_banks_follow_a_release_in_three_good_starts(tmp_path: Path, shell: str) -> None:
    board = Board(tmp_path, shell)

    said = board.started()
    assert "those of this release are in bank b" in said
    assert (board.bank(A), board.bank(B)) == (OLD, NEW)
    assert board.choice == bank_choice.Choice(bank=B, phase=Phase.NEXT)

    said = board.started()
    assert "those in bank b are tried" in said
    assert "those in bank b are kept" in said
    assert (board.bank(A), board.bank(B)) == (OLD, NEW)
    assert board.choice == bank_choice.Choice(bank=B, left=(digest(OLD),))

    said = board.started()
    assert "bank a holds the same" in said
    assert (board.bank(A), board.bank(B)) == (NEW, NEW)
    assert "rollback raise" in board.calls.read_text()

    before = board.block
    assert board.started() == ""
    assert board.block == before
    assert board.writes.read_text() == ""
    both = digest(NEW).hex()
    assert board.report() == ["b", "b", "0", both, both, both]


def test_nothing_is_written_while_release_and_banks_agree(tmp_path: Path, shell: str) -> None:
    board = Board(tmp_path, shell, brought=OLD)

    assert board.started() == ""
    assert board.writes.read_text() == ""
    assert not any(board.block)
    # The slot state's own part of the index has been raised before.
    assert not board.calls.exists()


def test_release_without_boot_loaders_leaves_the_banks(tmp_path: Path, shell: str) -> None:
    board = Board(tmp_path, shell, brought=b"")

    assert board.started() == ""
    assert board.writes.read_text() == ""
    assert board.report()[-1] == "-"


def test_what_the_rom_refuses_is_replaced_and_not_tried_again(tmp_path: Path, shell: str) -> None:
    board = Board(tmp_path, shell, brought=BAD)
    board.started()
    assert (board.bank(B), board.choice.phase) == (BAD, Phase.NEXT)

    said = board.started()
    assert "those in bank b failed, and are not tried again" in said
    assert (board.bank(A), board.bank(B)) == (OLD, OLD)
    assert board.choice == bank_choice.Choice(bank=A, left=(digest(BAD),))

    assert board.started() == ""
    assert board.writes.read_text() == ""


def test_trial_that_is_not_good_ends_with_the_next_start_and_after_three(
    tmp_path: Path, shell: str
) -> None:
    board = Board(tmp_path, shell)
    for failed in range(bank_choice.TRIES):
        said = board.started()
        assert "are in bank b, and are tried at the next start" in said
        assert ("attempt" in said) is (failed > 0)
        assert board.rom() == B
        assert "are tried" in board.call("begin").stdout
        # Chosen is the bank before, whatever becomes of this boot.
        assert board.choice == bank_choice.Choice(bank=A, phase=Phase.RUNS, failed=failed)

    assert "failed, and are not tried again" in board.started()
    assert (board.bank(A), board.bank(B)) == (OLD, OLD)
    assert board.choice == bank_choice.Choice(bank=A, left=(digest(NEW),))


@pytest.mark.parametrize("trial", [True, False])
def test_closed_data_ends_a_trial_at_once_and_no_other_boot(
    tmp_path: Path, shell: str, *, trial: bool
) -> None:
    board = Board(tmp_path, shell, brought=NEW if trial else OLD)
    board.started()
    board.rom()
    board.call("begin")
    board.calls.write_text("")
    done = board.call("give-up")

    assert done.returncode == 0
    assert board.calls.read_text() == ("systemctl --no-block reboot\n" if trial else "")


def test_older_release_does_not_bring_back_what_was_left(tmp_path: Path, shell: str) -> None:
    board = Board(tmp_path, shell)
    for _ in range(3):
        board.started()
    older = boot_partition.emit(b"FIT", b"{}", BOOT, OLD)
    (board.disks / "boot-a").write_bytes(older)

    assert board.started() == ""
    assert (board.bank(A), board.bank(B)) == (NEW, NEW)


def test_trial_is_not_kept_by_another_release(tmp_path: Path, shell: str) -> None:
    board = Board(tmp_path, shell)
    board.started()
    (board.disks / "boot-a").write_bytes(boot_partition.emit(b"FIT", b"{}", BOOT, OLD))
    board.started()

    assert board.choice.phase is Phase.RUNS
    assert board.choice.bank == A


def test_damaged_bank_is_made_good_from_the_one_that_runs(tmp_path: Path, shell: str) -> None:
    board = Board(tmp_path, shell, brought=OLD)
    board.put(A, BAD)

    assert "bank a holds the same" in board.started()
    assert (board.bank(A), board.bank(B)) == (OLD, OLD)
    # It was written only once it was not chosen any more.
    assert board.choice == bank_choice.Choice(bank=B)


@pytest.mark.parametrize("shell", [s for s in SHELLS if s != "busybox"])
def test_power_cut_in_any_write_leaves_a_bank_that_starts(tmp_path: Path, shell: str) -> None:
    # The shell of busybox does not start the dd that cuts the power: it has its own.
    cuts = 0
    for cut in range(1, 20):
        (tmp_path / str(cut)).mkdir()
        board = Board(tmp_path / str(cut), shell)
        done = 0
        for _ in range(8):
            running = board.rom()
            kept = board.bank(running)
            for what in ("begin", "follow"):
                left = cut - done
                result = board.call(what, cut=max(0, left))
                done += len(board.writes.read_text().splitlines())
                assert board.bank(running) == kept
                if result.returncode:
                    assert result.returncode == -9, result
                    cuts += 1
                    break
        assert (board.bank(A), board.bank(B)) == (NEW, NEW)
        assert board.choice.phase is Phase.SETTLED
        if done < cut:
            break
    # Zeros, content and header of each bank, and the block four times.
    assert cuts >= 9


HOSTILE: Final = {
    "noise": bytes(range(256)) * 2,
    "another phase": bank_choice.emit(0)[:8] + b"\3" + bytes(503),
    "a trial too many": bank_choice.emit(0)[:12] + b"\3" + bytes(499),
    "bytes between": bank_choice.emit(0)[:16] + b"\1" + bytes(495),
    "another bank": bank_choice.emit(0)[:4] + b"\2" + bytes(507),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_block_of_another_form_is_taken_as_the_rom_takes_it(
    tmp_path: Path, shell: str, name: str
) -> None:
    board = Board(tmp_path, shell, brought=NEW)
    board.block = HOSTILE[name]

    assert "are in bank b" in board.started()
    assert board.choice == bank_choice.Choice(bank=B, phase=Phase.NEXT)


def _elsewhere(board: Board) -> None:
    board.partition("fw-b", OLD, 20480)


def _short(board: Board) -> None:
    board.partition("fw-b", OLD[: 2 * MIB], 12288)


def _missing(board: Board) -> None:
    (board.disks / "fw-b").unlink()
    shutil.rmtree(board.root / "block/fw-b")


def _link(board: Board) -> None:
    (board.disks / "fw-b").unlink()
    (board.disks / "fw-b").symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_elsewhere, "fw-b is not where the boot ROM reads it"),
        (_short, "fw-b is not where the boot ROM reads it"),
        (_missing, "there is no partition fw-b"),
        (_link, "there is no partition fw-b"),
    ],
)
def test_bank_that_is_not_where_the_rom_reads_it_is_not_written(
    tmp_path: Path, shell: str, change: Callable[[Board], None], reason: str
) -> None:
    board = Board(tmp_path, shell)
    board.rom()
    change(board)
    done = board.call("follow")

    assert done.returncode == 1
    assert reason in done.stderr
    assert board.writes.read_text() == ""


@pytest.mark.parametrize("word", [b"", bytes([0, 0, 0, 2]), bytes(8)])
def test_unknown_bank_writes_nothing(tmp_path: Path, shell: str, word: bytes) -> None:
    board = Board(tmp_path, shell)
    if word:
        (board.chosen / "bootseal,bank").write_bytes(word)
    done = board.call("follow")

    assert done.returncode == 1
    assert "does not say which bank" in done.stderr
    assert board.writes.read_text() == ""


@pytest.mark.parametrize("brought", [OLD, NEW, b""])
def test_bank_that_cannot_be_read_is_not_copied(tmp_path: Path, shell: str, brought: bytes) -> None:
    board = Board(tmp_path, shell, brought=brought)
    board.rom()
    (board.disks / "fw-a").unlink()
    (board.disks / "fw-a").mkdir()
    done = board.call("follow")

    assert done.returncode == 1
    assert "the bank that runs, a, cannot be read" in done.stderr
    assert board.writes.read_text() == ""
    assert board.bank(B) == OLD


def test_banks_are_compared(tmp_path: Path, shell: str) -> None:
    board = Board(tmp_path, shell)

    assert board.call("same").returncode == 0
    board.put(B, NEW)
    assert board.call("same").returncode == 1


@pytest.mark.parametrize("what", ["", "write", "begin follow"])
def test_unknown_command_is_refused(tmp_path: Path, shell: str, what: str) -> None:
    done = Board(tmp_path, shell).call(what)

    assert done.returncode == 1
    assert "expected begin, give-up, follow or same" in done.stderr
