# SPDX-License-Identifier: MIT
"""Programs that bootseal starts: none outlives the command, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootseal import proc
from bootseal.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = ["300"]


def is_running(pid: int) -> bool:
    """Return whether a process has not ended; one that nobody has waited for yet has."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(") ")[2][0] != "Z"


def ends(pid: int) -> bool:
    """Return whether a process that was sent a signal ends within a few seconds."""
    deadline = time.monotonic() + 10
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def interrupted(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[int]]:
    """Send a signal just after each program was started; yields their process ids."""
    started: list[int] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            started.append(self.pid)
            signal.raise_signal(request.param)

    # A shell that starts this in the background has Ctrl-C ignored.
    before = signal.signal(request.param, signal.default_int_handler)
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    yield started
    signal.signal(request.param, before)
    for pid in filter(is_running, started):
        os.kill(pid, signal.SIGKILL)


def test_signal_at_the_start_of_a_background_program_stops_it(
    interrupted: list[int], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), proc.background("sleep", _LONG, output=tmp_path / "out"):
        pass
    (pid,) = interrupted
    assert ends(pid)


def test_signal_at_the_start_of_a_program_that_is_waited_for_stops_it(
    interrupted: list[int],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        proc.run("sleep", _LONG, timeout=60)
    (pid,) = interrupted
    assert ends(pid)


@pytest.mark.usefixtures("interrupted")
def test_signal_handlers_are_as_before_once_a_program_is_started() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        proc.run("true", [], timeout=60)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_background_program_is_stopped_with_its_children(tmp_path: Path) -> None:
    script = "sleep 300 & echo $!; wait"
    output = tmp_path / "out"
    with proc.background("sh", ["-c", script], output=output) as shell:
        while not output.read_text().endswith("\n"):
            assert shell.poll() is None
            time.sleep(0.01)
        child = int(output.read_text())
        assert is_running(child)
    assert shell.returncode == -signal.SIGTERM
    assert ends(child)


def test_program_that_takes_too_long_is_stopped_and_said_so() -> None:
    with pytest.raises(ToolError, match=r"sleep 300 did not finish within 0\.1 seconds"):
        proc.run("sleep", _LONG, timeout=0.1)
