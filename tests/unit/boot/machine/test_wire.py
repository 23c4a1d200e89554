# SPDX-License-Identifier: MIT
"""The scan of a machine's TCP ports, against a machine made of frames."""

from __future__ import annotations

import socket
import struct
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from bootseal.boot.machine import wire
from bootseal.boot.machine.qemu import Cable
from bootseal.boot.machine.wire import MACHINE, OWN, Wire
from bootseal.errors import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Iterator

MAC: Final = bytes.fromhex("525400123456")
PORTS: Final = range(20, 90)


def checksum(data: bytes) -> int:
    """Add up words as RFC 1071 does; 0 says that the checksum in them is right."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class Machine:
    """Answers as Linux would; it asks for the other end's address before its first segment."""

    def __init__(self, end: socket.socket, opened: set[int], mute: set[int]) -> None:
        self.end, self.opened, self.mute = end, opened, mute
        self.knows = False

    def run(self, other: str) -> None:
        while frame := self.end.recv(2000):
            for answer in self.answers(frame):
                self.end.sendto(answer, other)

    def answers(self, frame: bytes) -> Iterator[bytes]:
        source, kind = frame[6:12], frame[12:14]
        if kind == b"\x08\x06":
            assert frame[14:20] == bytes.fromhex("000108000604")
            if frame[20:22] == b"\0\2":
                assert (frame[22:28], frame[28:32], frame[32:38]) == (source, OWN, MAC)
                self.knows = True
            elif frame[38:42] == MACHINE:
                yield source + MAC + kind + frame[14:20] + b"\0\2" + MAC + MACHINE + frame[22:32]
            return
        header, segment = frame[14:34], frame[34:]
        assert (frame[:6], header[0], header[9]) == (MAC, 0x45, 6)
        assert checksum(header) == 0
        assert checksum(header[12:20] + b"\0\6" + struct.pack(">H", len(segment)) + segment) == 0
        if not self.knows:
            yield (
                b"\xff" * 6
                + MAC
                + bytes.fromhex("0806 000108000604 0001")
                + MAC
                + MACHINE
                + bytes(6)
                + OWN
            )
            return
        ours, port = struct.unpack_from(">HH", segment)
        if port not in self.mute:
            flags = 0x12 if port in self.opened else 0x14
            answer = struct.pack(">HHIIBBHHH", port, ours, 0, 1, 0x50, flags, 0, 0, 0)
            yield source + MAC + b"\x08\0" + header[:12] + MACHINE + OWN + answer

    def repeat(self, other: str, until: threading.Event) -> None:
        """Accept a connection to port 22 again and again, as when nobody answers that."""
        segment = struct.pack(">HHIIBBHHH", 22, 40000, 0, 1, 0x50, 0x12, 0, 0, 0)
        header = bytes.fromhex("450000280000000040060000") + MACHINE + OWN
        while not until.wait(0.02):
            with suppress(OSError):
                self.end.sendto(bytes(6) + MAC + b"\x08\0" + header + segment, other)


@contextmanager
def plugged(
    opened: set[int], mute: set[int] | None = None, *, again: bool = False
) -> Iterator[Wire]:
    with tempfile.TemporaryDirectory(prefix="bootseal-") as name:
        cable = Cable(machine=Path(name) / "machine", other=Path(name) / "other")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.bind(str(cable.machine))
            machine = Machine(end, opened, mute or set())
            thread = threading.Thread(target=machine.run, args=[str(cable.other)])
            over = threading.Event()
            other = threading.Thread(target=machine.repeat, args=[str(cable.other), over])
            with Wire(cable) as made:
                thread.start()
                if again:
                    other.start()
                try:
                    yield made
                finally:
                    over.set()
                    if again:
                        other.join(10)
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                    last.sendto(b"", str(cable.machine))
                thread.join(10)


def test_nothing_is_open() -> None:
    with plugged(set()) as made:
        assert made.open_ports(PORTS) == ()


def test_open_ports_are_found() -> None:
    with plugged({22, 80}) as made:
        assert made.open_ports(PORTS) == (22, 80)
        assert made.open_ports([80]) == (80,)


def test_every_port_is_asked_by_default() -> None:
    assert (wire.PORTS[0], wire.PORTS[-1], len(wire.PORTS)) == (1, 65535, 65535)


def test_port_that_answers_nothing_leaves_the_question_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "_ANSWER_WITHIN", 0.2)
    with (
        plugged({22}, mute={80}) as made,
        pytest.raises(Inconclusive, match="1 TCP ports"),
    ):
        made.open_ports(PORTS)


@pytest.mark.timeout(30)
def test_answer_that_is_sent_again_does_not_prolong_the_wait_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "_ANSWER_WITHIN", 0.2)
    with (
        plugged({22}, mute={80}, again=True) as made,
        pytest.raises(Inconclusive, match="1 TCP ports"),
    ):
        made.open_ports(PORTS)


def test_machine_that_is_not_there_leaves_the_question_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "_UP_WITHIN", 0.2)
    monkeypatch.setattr(wire, "MACHINE", bytes([10, 0, 2, 16]))
    with (
        plugged(set()) as made,
        pytest.raises(Inconclusive, match="on its network"),
    ):
        made.open_ports(PORTS)
