# SPDX-License-Identifier: MIT
"""The other end of a machine's network cable: answers ARP, and asks every TCP port if it is open.

Spec: RFC 826 (ARP), RFC 791 (IPv4), RFC 9293 (TCP).
"""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import ExitStack
from enum import Flag
from typing import TYPE_CHECKING, Final, Self

from bootseal.errors import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from bootseal.boot.machine.qemu import Cable

OWN: Final = bytes([10, 0, 2, 2])
"""The address of this end."""
MACHINE: Final = bytes([10, 0, 2, 15])
"""The address of the machine."""
PORTS: Final = range(1, 65536)
_OWN_MAC: Final = bytes.fromhex("525500000202")
_EVERYONE: Final = b"\xff" * 6
_ARP, _IP = b"\x08\x06", b"\x08\x00"
_ARP_FOR_IP: Final = bytes.fromhex("000108000604")
_ASKS, _TELLS = b"\x00\x01", b"\x00\x02"
_TCP: Final = 6
_OUR_PORT: Final = 40000
_HEADERS: Final = 14 + 20 + 20
_PASSES: Final = 4
_LONGEST: Final = 65536
_UP_WITHIN: Final = 120.0
_ANSWER_WITHIN: Final = 10.0


class _Flags(Flag):
    """Of a TCP segment."""

    SYN = 2
    RST = 4
    ACK = 16


class Wire:
    """This end of a cable; a context manager.

    Args:
        cable: Whose other end it is.
    """

    def __init__(self, cable: Cable) -> None:
        self._cable = cable
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._mac = b""

    def __enter__(self) -> Self:
        """Plug in."""
        self._socket.bind(str(self._cable.other))
        self._stack.callback(self._cable.other.unlink)
        self._socket.connect(str(self._cable.machine))
        self._socket.settimeout(_ANSWER_WITHIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Pull it out."""
        self._stack.close()

    def open_ports(self, ports: Iterable[int] = PORTS) -> tuple[int, ...]:
        """Return the TCP ports on which the machine accepts connections.

        Raises:
            Inconclusive: A port does not answer at all.
        """
        self._find()
        waiting, found = set(ports), set[int]()
        for _ in range(_PASSES):
            self._scan(waiting, found)
            if not waiting:
                return tuple(sorted(found))
        raise Inconclusive(
            f"{len(waiting)} TCP ports of the device answer nothing, such as {min(waiting)}"
        )

    def _find(self) -> None:
        """Ask for the machine's hardware address."""
        question = _arp(_EVERYONE, _ASKS, bytes(6), MACHINE)
        deadline = time.monotonic() + _UP_WITHIN
        while not self._mac:
            if time.monotonic() > deadline:
                raise Inconclusive("the device does not answer on its network")
            self._socket.send(question)
            for frame in self._frames(1.0):
                self._mac = self._mac or _told(frame)

    def _scan(self, waiting: set[int], found: set[int]) -> None:
        """Ask all ports once, and take away those that answer.

        Frames that answer nothing, such as a segment that is sent again, do not prolong the wait.
        """
        unasked = sorted(waiting, reverse=True)
        deadline = time.monotonic() + _ANSWER_WITHIN
        while waiting and time.monotonic() < deadline:
            if unasked and select.select([], [self._socket], [], 0)[1]:
                self._socket.send(_syn(self._mac, unasked.pop()))
            for frame in self._frames(0 if unasked else 1.0):
                if frame[12:14] == _ARP and frame[20:22] == _ASKS and frame[38:42] == OWN:
                    self._socket.send(_arp(frame[6:12], _TELLS, frame[22:28], frame[28:32]))
                elif answer := _answer(frame):
                    port, flags = answer
                    if port in waiting:
                        deadline = time.monotonic() + _ANSWER_WITHIN
                    waiting.discard(port)
                    if _Flags.SYN in flags:
                        found.add(port)

    def _frames(self, timeout: float) -> Iterator[bytes]:
        """Yield the frames that are there, or come within a time."""
        while select.select([self._socket], [], [], timeout)[0]:
            timeout = 0.0
            yield self._socket.recv(_LONGEST)


def _arp(target: bytes, operation: bytes, hardware: bytes, address: bytes) -> bytes:
    """Return a frame that asks for an address or tells ours."""
    return b"".join(
        (target, _OWN_MAC, _ARP, _ARP_FOR_IP, operation, _OWN_MAC, OWN, hardware, address)
    )


def _told(frame: bytes) -> bytes:
    """Return the machine's hardware address if a frame tells it."""
    tells = frame[12:14] == _ARP and frame[20:22] == _TELLS and frame[28:32] == MACHINE
    return frame[22:28] if tells else b""


def _syn(mac: bytes, port: int) -> bytes:
    """Return a frame that asks a TCP port of the machine for a connection."""
    segment = struct.pack(">HHIIBBHHH", _OUR_PORT, port, 0, 0, 0x50, _Flags.SYN.value, 1024, 0, 0)
    covered = OWN + MACHINE + struct.pack(">HH", _TCP, len(segment)) + segment
    segment = segment[:16] + _checksum(covered) + segment[18:]
    header = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(segment), 0, 0, 64, _TCP)
    header += _checksum(header + OWN + MACHINE) + OWN + MACHINE
    return mac + _OWN_MAC + _IP + header + segment


def _answer(frame: bytes) -> tuple[int, _Flags] | None:
    """Return port and flags of a frame that answers `_syn`."""
    if len(frame) < _HEADERS or frame[12:14] != _IP or frame[23] != _TCP:
        return None
    port, to = struct.unpack_from(">HH", frame, 34)
    flags = frame[47] & sum(flag.value for flag in _Flags)
    if frame[26:34] != MACHINE + OWN or to != _OUR_PORT:
        return None
    return port, _Flags(flags)


def _checksum(data: bytes) -> bytes:
    """Return the Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~total & 0xFFFF)
