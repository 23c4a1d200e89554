# SPDX-License-Identifier: MIT
"""The device on the user's own terminal."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bootseal import proc
from bootseal.boot import run
from bootseal.boot.machine import swtpm
from bootseal.boot.machine.qemu import Machine
from bootseal.device import Device, Qemu
from bootseal.errors import UsageError
from bootseal.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BOARD = Qemu(system="qemu", machine="virt", cpu="cortex-a57", cpus=2, memory=1024)
DEVICE = Device(
    name="d",
    profile="dev",
    login=True,
    epoch=0,
    qemu=BOARD,
    artefacts={},
    partitions=(),
    slots=(),
    keys={},
)


def test_shell_does_not_wait_for_anyone_to_take_the_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The device gives its shell after its status, and a port on `null` never opens."""
    started: list[str] = []

    def interactive(_tool: str, args: Sequence[str | Path]) -> int:
        started.extend(map(str, args))
        return 0

    board = Machine(qemu=BOARD, bios=tmp_path, disk=tmp_path, tpm=tmp_path)
    monkeypatch.setattr(run, "machine", lambda *_: board)
    monkeypatch.setattr(swtpm, "powered", lambda *_: nullcontext())
    monkeypatch.setattr(proc, "interactive", interactive)

    assert run.shell(DEVICE, tmp_path, Silent()) == 0
    backends = [arg for arg in started if "id=status" in arg]
    assert [arg.partition(",")[0] for arg in backends] == ["file"]


def test_board_that_is_not_one_of_qemu_s_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    board = replace(DEVICE, qemu=None)

    with pytest.raises(UsageError, match="d is for a board that QEMU does not have") as caught:
        run.machine(board, tmp_path, Silent())

    assert caught.value.hint.startswith("start it on the board")
    assert list(tmp_path.iterdir()) == []
