# SPDX-License-Identifier: MIT
"""Event logs as U-Boot writes them, for tests."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

from bootseal.formats.tpm.eventlog import EventType

if TYPE_CHECKING:
    from bootseal.formats.tpm.eventlog import EventLog

_SIGNATURE: Final = b"Spec ID Event03\0"
_ALGORITHMS: Final = {"sha1": 0x0004, "sha256": 0x000B, "sha384": 0x000C, "sha512": 0x000D}
# Platform class, version minor and major, errata, size of UINTN (2 is 64 bits).
_SPEC_VERSION: Final = struct.pack("<IBBBB", 0, 0, 2, 2, 2)


def emit(log: EventLog) -> bytes:
    """Write a log as U-Boot does: of a TPM 2.0, with the banks that bootseal reads."""
    specification = _SIGNATURE + _SPEC_VERSION + struct.pack("<I", len(log.algorithms))
    for name in log.algorithms:
        specification += struct.pack("<HH", _ALGORITHMS[name], hashlib.new(name).digest_size)
    specification += b"\0"  # no vendor information
    out = bytearray(struct.pack("<II20xI", 0, EventType.NO_ACTION, len(specification)))
    out += specification
    for event in log.events:
        out += struct.pack("<III", event.pcr, event.type, len(log.algorithms))
        for name in log.algorithms:
            out += struct.pack("<H", _ALGORITHMS[name]) + event.digests[name]
        out += struct.pack("<I", len(event.data)) + event.data
    return bytes(out)
