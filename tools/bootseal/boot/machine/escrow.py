# SPDX-License-Identifier: MIT
"""The provisioning station at the escrow port: stores what devices hand out and acknowledges it.

A device sends one line, `{"schema": "bootseal.escrow/1", "volume": UUID, "cms": BASE64}`, and
counts its recovery key as handed out when the answer is `stored UUID`. Only the holder of the
vendor's escrow key can open the CMS; a station cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseal import documents
from bootseal.errors import FormatError

SCHEMA: Final = "bootseal.escrow/1"
SUFFIX: Final = ".escrow"
"""Suffix of what was handed out, next to the serial log of the boot it came in."""
_LONGEST: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Escrow:
    """What a device handed out: `volume` is the UUID of its LUKS2 volume, `cms` is DER."""

    schema: str = SCHEMA
    volume: str
    cms: bytes


class Station:
    """The station's end of the escrow port for one power cycle; writes next to the serial log."""

    def __init__(self, log: Path) -> None:
        self._file = log.with_suffix(SUFFIX)
        self._partial = bytearray()

    def take(self, data: bytes) -> bytes:
        """Store the lines that `data` completes; return the answer to the device."""
        self._partial += data
        *lines, rest = self._partial.split(b"\n")
        self._partial = bytearray(rest[:_LONGEST])
        answer = b""
        for line in map(bytes, lines):
            try:
                answer += b"stored " + parse(line).volume.encode() + b"\n"
            except FormatError:
                answer += b"refused\n"
            else:
                with self._file.open("ab") as file:
                    file.write(line + b"\n")
        return answer


def parse(line: bytes) -> Escrow:
    """Read what a device handed out.

    Raises:
        FormatError: It is not one such document.
    """
    found = documents.read(Escrow, line, "the escrow line", limit=_LONGEST)
    if not found.volume.isascii() or not found.volume.isprintable():
        raise FormatError(f"the escrow line names the volume {found.volume!r:.60}: expected a UUID")
    return found


def handed_out(log: Path) -> tuple[Escrow, ...]:
    """Return what was handed out in the boot with this serial log, in order."""
    path = log.with_suffix(SUFFIX)
    lines = path.read_bytes().splitlines() if path.exists() else []
    return tuple(map(parse, lines))
