# SPDX-License-Identifier: MIT
"""Commands for a device's shell, one after the other, and what it answers to each.

Each command is a line from the station. The device answers with a line that has the exit code, and
a line of base64 for each text that it sends.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, TypeVar

from bootseal.boot.catalogue.bench import station
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bootseal.boot.catalogue.bench.station import Port
    from bootseal.boot.scenario.workspace import Workspace

_Request = TypeVar("_Request")


def in_turn(
    ask: Callable[[Port, _Request], None], requests: Sequence[_Request]
) -> Callable[[Workspace], None]:
    """Return what asks a device for one thing after the other, and then ends its loop."""

    def call(workspace: Workspace) -> None:
        with station.opened(workspace) as port:
            try:
                for request in requests:
                    ask(port, request)
            finally:
                port.send(b"end\n")

    return call


def answers(
    port: Port, command: str, texts: int, *, errors: str = "strict"
) -> tuple[str, list[str]]:
    """Send a command, and return its exit code and the texts that follow.

    Args:
        port: Our end of the port.
        command: What the device runs.
        texts: How many texts the device sends.
        errors: What becomes of text that is not UTF-8, as `bytes.decode` has it.

    Raises:
        VerificationRefused: A text is malformed.
        Inconclusive: The device does not answer.
    """
    port.send(f"{command}\n".encode())
    code = port.line().strip().decode(errors="replace")
    try:
        return code, [
            base64.b64decode(port.line().strip(), validate=True).decode(errors=errors)
            for _ in range(texts)
        ]
    except ValueError as error:
        raise VerificationRefused(f"what the device sends is malformed: {error}") from error


def check_code(code: str, text: str, *, accepted: bool) -> None:
    """Check whether a command succeeded or failed, as it had to.

    Raises:
        VerificationRefused: It did not; `text` says what happened.
    """
    if (code == "0") is not accepted:
        raise VerificationRefused(f"{text}: expected {'success' if accepted else 'refusal'}")
