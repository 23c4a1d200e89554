# SPDX-License-Identifier: MIT
"""QEMU's machine protocol: JSON lines on a socket, commands one way, replies and events back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.errors import ToolError

if TYPE_CHECKING:
    import socket


@dataclass(frozen=True, slots=True, kw_only=True)
class QmpEvent:
    """An event such as SHUTDOWN with its `reason`, for example `guest-shutdown`."""

    name: str
    reason: str


class Qmp:
    """One QMP connection, made blocking for the handshake and then read as data arrives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""

    def handshake(self) -> None:
        """Read the greeting and leave negotiation mode.

        Raises:
            ConnectionError: The other side closed the connection.
            ToolError: The other side is not QMP.
            TimeoutError: It says nothing.
        """
        self._command("qmp_capabilities")
        greeted = False
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("closed during the handshake")
            for message in self._split(data):
                greeted |= "QMP" in message
                if "return" in message and greeted:
                    return

    def start(self) -> None:
        """Let the virtual CPUs run (the machine starts paused)."""
        self._command("cont")

    def reset(self) -> None:
        """Press the reset button."""
        self._command("system_reset")

    def quit(self) -> None:
        """Pull the plug: QEMU exits at once, and the guest is not told."""
        self._command("quit")

    def feed(self, data: bytes) -> list[QmpEvent]:
        """Take bytes from the socket and return the events they complete.

        Raises:
            ToolError: QEMU answered a command with an error.
        """
        found = []
        for message in self._split(data):
            if "error" in message:
                raise ToolError(f"QEMU refused a command: {message['error']}")
            if isinstance(name := message.get("event"), str):
                details = message.get("data")
                reason = details.get("reason", "") if isinstance(details, dict) else ""
                found.append(QmpEvent(name=name, reason=str(reason)))
        return found

    def _command(self, name: str) -> None:
        self._socket.sendall(json.dumps({"execute": name}).encode() + b"\n")

    def _split(self, data: bytes) -> list[dict[str, object]]:
        *whole, self._buffer = (self._buffer + data).split(b"\n")
        messages = []
        for line in filter(None, (w.strip() for w in whole)):
            try:
                message = json.loads(line)
            except ValueError as error:
                raise ToolError(f"QEMU's machine protocol sent {line[:80]!r}: {error}") from error
            if isinstance(message, dict):
                messages.append(message)
        return messages
