# SPDX-License-Identifier: MIT
"""Recordings of everything that went over the TPM's bus, as the emulator writes them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final

from bootseal.errors import FormatError

_HEAD: Final = re.compile(r" ?(?P<what>\S[^:]*): length (?P<size>\d+)\s*")
_DATA: Final = re.compile(r"(?: [0-9A-F]{2})+ *")
_BUS: Final = frozenset({"SWTPM_IO_Read", "SWTPM_IO_Write"})


def messages(text: str) -> list[bytes]:
    """Return the commands and responses of a recording (swtpm's log level 20) in order.

    Raises:
        FormatError: It holds none, or one is not as long as it says.
    """
    found: list[tuple[str, int, bytearray]] = []
    for line in text.splitlines():
        if head := _HEAD.fullmatch(line):
            found.append((head["what"], int(head["size"]), bytearray()))
        elif found and _DATA.fullmatch(line):
            found[-1][2].extend(bytes.fromhex(line))
    bus = [(size, bytes(data)) for what, size, data in found if what in _BUS]
    if not bus:
        raise FormatError("the recording of the TPM's bus holds no command")
    for size, data in bus:
        if size != len(data):
            raise FormatError(f"a message has {len(data)} bytes in the recording: expected {size}")
    return [data for _, data in bus]


def holding(recorded: Iterable[bytes], secret: bytes) -> int:
    """Count the messages that contain the secret: as it is, reversed, in base64 or in hex."""
    texts = {base64.b64encode(secret), secret.hex().encode(), secret.hex().upper().encode()}
    forms = {secret, secret[::-1], *texts}
    return sum(any(form in message for form in forms) for message in recorded)
