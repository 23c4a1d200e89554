# SPDX-License-Identifier: MIT
"""One power cycle of a virtual device: TPM emulator, QEMU, and every line that leaves the board.

The machine starts paused and runs only when all its lines are connected, so no console byte is
lost. All waiting is on file descriptors, for the end of a process as well; nothing sleeps.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bootseal import proc
from bootseal.boot.machine import escrow, swtpm
from bootseal.boot.machine.console import Console
from bootseal.boot.machine.events import Ending, Sighting
from bootseal.boot.machine.qemu import Machine, Wiring, arguments
from bootseal.boot.machine.qmp import Qmp
from bootseal.errors import ToolError

RECORDING: Final = ".tpm"
"""Suffix of the recording of the TPM's traffic, next to the serial log."""
_CONNECT_TIMEOUT: Final = 30.0
_READ: Final = 65536
# The longest single wait; poll() waits again until its own time is up.
_PATIENCE: Final = 3600.0
_LAST_BREATH: Final = 3.0
# No status is longer than this; a device that never ends its line must not fill our memory.
_LONGEST_STATUS: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusLine:
    """A line that came out of the status port, without its line end."""

    time: float
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The machine was reset, by its guest or by us."""

    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """QEMU has exited: `POWERED_OFF` when the guest asked for it, else `CUT` or `CRASHED`."""

    time: float
    ending: Ending


Event = Sighting | StatusLine | Reset | Off


class _Line(StrEnum):
    SERIAL = "serial"
    STATUS = "status"
    ESCROW = "escrow"
    QMP = "qmp"
    QEMU = "qemu"
    TPM = "tpm"


_SPOKEN: Final = (_Line.SERIAL, _Line.STATUS, _Line.ESCROW, _Line.QMP)


class Session:
    """A running device; made by `switched_on`.

    Attributes:
        console: Everything the console showed.
        resets: How many times the machine was reset.
    """

    def __init__(self, lines: dict[_Line, socket.socket], log: _Log) -> None:
        self.console = Console()
        self.resets = 0
        self._lines = lines
        self._qmp = Qmp(lines[_Line.QMP])
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._status = bytearray()
        self._station = escrow.Station(log.path)
        self._reason = ""
        self._cut = False
        self._off = False
        self._qemu = -1
        self._start = 0.0

    def elapsed(self) -> float:
        """Return the seconds since power-on."""
        return time.monotonic() - self._start

    def type(self, text: str) -> None:
        """Type on the serial console."""
        # A device that is switching itself off no longer listens; poll() reports that. A device
        # that does not read its console loses what is typed, as on a real serial port.
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._lines[_Line.SERIAL].sendall(text.encode())

    def reset(self) -> None:
        """Press the reset button: a warm reset, RAM keeps its contents."""
        with contextlib.suppress(ConnectionError):
            self._qmp.reset()

    def cut(self) -> None:
        """Pull the plug; poll() then reports `Off` with `Ending.CUT`."""
        self._cut = True
        with contextlib.suppress(ConnectionError):
            self._qmp.quit()

    def poll(self, until: float) -> list[Event]:
        """Wait for something to happen.

        Args:
            until: Seconds since power-on after which to return with nothing.

        Returns:
            What happened, in order; `Off` is always last and never comes twice.

        Raises:
            ToolError: QEMU answered a command with an error.
        """
        events: list[Event] = []
        while not events and not self._off:
            left = until - self.elapsed()
            ready = {key.data for key, _ in self._selector.select(min(max(left, 0), _PATIENCE))}
            if not ready and left <= 0:
                break
            for line in _SPOKEN:
                if line in ready:
                    events += self._read(line)
            if _Line.QEMU in ready:
                events += self._finish(crashed=False)
            elif _Line.TPM in ready:
                # The emulator also exits when QEMU disconnects, a moment before QEMU itself exits.
                gone, _, _ = select.select([self._qemu], [], [], _LAST_BREATH)
                events += self._finish(crashed=not gone)
        return events

    def _read(self, line: _Line) -> list[Event]:
        try:
            data = self._lines[line].recv(_READ)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(self._lines[line])
            return []
        now = self.elapsed()
        if line is _Line.SERIAL:
            return list(self._log.take(self.console, data, now))
        if line is _Line.STATUS:
            return list(self._status_lines(data, now))
        if line is _Line.ESCROW:
            with contextlib.suppress(ConnectionError, TimeoutError):
                self._lines[line].sendall(self._station.take(data))
            return []
        events: list[Event] = []
        for event in self._qmp.feed(data):
            if event.name == "SHUTDOWN":
                self._reason = event.reason
            elif event.name == "RESET":
                self.resets += 1
                events.append(Reset(time=now))
        return events

    def _status_lines(self, data: bytes, now: float) -> Iterator[StatusLine]:
        self._status += data
        *whole, rest = self._status.split(b"\n")
        self._status = bytearray(rest[:_LONGEST_STATUS])
        for line in filter(None, whole):
            yield StatusLine(time=now, data=bytes(line))

    def _finish(self, *, crashed: bool) -> list[Event]:
        """Read what is left in the sockets of a machine that has ended."""
        events: list[Event] = []
        self._off = True
        if not crashed:
            for line in _SPOKEN:
                while self._lines[line] in {k.fileobj for k in self._selector.get_map().values()}:
                    events += self._read(line)
        now = self.elapsed()
        events += self._log.close(self.console, now)
        if self._cut:
            ending = Ending.CUT
        elif not crashed and self._reason == "guest-shutdown":
            ending = Ending.POWERED_OFF
        else:
            ending = Ending.CRASHED
        return [*events, Off(time=now, ending=ending)]

    def power_on(self, qemu: int, tpm: int | None) -> None:
        """Start the processors; the arguments are descriptors, readable when a process has ended.

        Raises:
            ConnectionError: QEMU ended first.
            TimeoutError: It does not answer.
            ToolError: QEMU does not speak its machine protocol.
        """
        for connection in self._lines.values():
            connection.settimeout(_CONNECT_TIMEOUT)
        self._qmp.handshake()
        for line, connection in self._lines.items():
            self._selector.register(connection, selectors.EVENT_READ, line)
        self._qemu = qemu
        self._selector.register(qemu, selectors.EVENT_READ, _Line.QEMU)
        if tpm is not None:
            self._selector.register(tpm, selectors.EVENT_READ, _Line.TPM)
        self._start = time.monotonic()
        self._qmp.start()

    def close(self) -> None:
        """Stop listening and complete the log."""
        self._selector.close()
        if not self._off:
            self._log.close(self.console, self.elapsed())


class _Log:
    """The serial log, twice: the raw bytes, and timed lines that are safe to show."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._raw = stack.enter_context(path.with_suffix(".raw").open("wb", buffering=0))
        self._text = stack.enter_context(path.open("w", buffering=1))
        self._written = 0

    def take(self, console: Console, data: bytes, now: float) -> list[Sighting]:
        self._raw.write(data)
        seen = console.feed(data, now)
        self._write(console)
        return seen

    def close(self, console: Console, now: float) -> list[Sighting]:
        seen = console.close(now)
        self._write(console)
        return seen

    def _write(self, console: Console) -> None:
        for line in console.lines[self._written :]:
            self._text.write(f"{line.time:9.3f} {line.text}\n")
        self._written = len(console.lines)


@contextmanager
def switched_on(machine: Machine, log: Path) -> Iterator[Session]:
    """Power a machine until the context ends, at the latest; leaving it pulls the plug.

    Args:
        machine: What to run.
        log: The serial log: `log` gets lines with times, and its `.raw` sibling every byte.

    Raises:
        ToolError: QEMU or the TPM emulator did not start.
    """
    with ExitStack() as stack:
        # The path of a UNIX socket has at most 107 bytes, so no socket is in the build directory.
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bootseal-")))
        tpm = None
        control = scratch / "tpm"
        if machine.tpm is not None:
            said, recording = scratch / "tpm.log", scratch / "tpm-recording"
            extra = swtpm.recorded(recording) if machine.record_tpm else ()
            if machine.record_tpm:
                stack.callback(shutil.copyfile, recording, log.with_suffix(RECORDING))
            pid = stack.enter_context(swtpm.powered(machine.tpm, control, said, *extra))
            tpm = _watch(pid, stack)
        listeners = {line: _listen(scratch / line, stack) for line in _SPOKEN}
        wires = {line: f"socket,path={scratch / line}" for line in _SPOKEN}
        wiring = Wiring(
            serial=wires[_Line.SERIAL],
            status=wires[_Line.STATUS],
            escrow=wires[_Line.ESCROW],
            qmp=wires[_Line.QMP],
            tpm=control,
        )
        output = scratch / "qemu.log"
        args = arguments(machine, wiring)
        process = stack.enter_context(proc.background(machine.qemu.system, args, output=output))
        qemu = _watch(process.pid, stack)
        lines = {
            line: _accept(listener, qemu, output, stack) for line, listener in listeners.items()
        }
        session = Session(lines, _Log(log, stack))
        stack.callback(session.close)
        try:
            session.power_on(qemu, tpm)
        except ConnectionError as error:
            raise _not_started("ended", output) from error
        except TimeoutError as error:
            raise _not_started("hung", output) from error
        yield session


def _watch(pid: int, stack: ExitStack) -> int:
    """Return a descriptor that becomes readable when the process ends."""
    descriptor = os.pidfd_open(pid)
    stack.callback(os.close, descriptor)
    return descriptor


def _listen(path: Path, stack: ExitStack) -> socket.socket:
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen(1)
    return listener


def _accept(listener: socket.socket, qemu: int, output: Path, stack: ExitStack) -> socket.socket:
    """Return QEMU's connection; QEMU connects while it starts, or exits and says why."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(qemu, selectors.EVENT_READ)
        ready = {key.fileobj for key, _ in selector.select(_CONNECT_TIMEOUT)}
    if listener not in ready:
        raise _not_started("ended" if ready else f"hung for {_CONNECT_TIMEOUT:g} s", output)
    connection, _ = listener.accept()
    return stack.enter_context(connection)


def _not_started(how: str, output: Path) -> ToolError:
    said = output.read_text(errors="replace").strip()
    return ToolError(f"QEMU {how} before power-on: it said {said[-600:]!r}")
