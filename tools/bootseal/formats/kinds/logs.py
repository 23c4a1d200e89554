# SPDX-License-Identifier: MIT
"""Which kind of event log some bytes are, by their first events.

Numbers are little-endian. A crypto agile log says so in its first event; a log of TPM 1.2 may
say so too, and may begin with any event.

Spec: TCG PC Client Platform Firmware Profile 1.06, sections 10.2 and 10.4.5.
"""

from __future__ import annotations

import struct
from typing import Final

from bootseal.formats.kinds.kind import Kind

_PCR_EVENT: Final = struct.Struct("<II20sI")
_AGILE: Final = b"Spec ID Event03\0"
_OLD: Final = (b"Spec ID Event00\0", b"Spec ID Event02\0")
_PCRS: Final = 24
_MAX_EVENT: Final = 1 << 16
_COMMON_TYPES: Final = (*range(0x13), *range(0x80000001, 0x80000013), 0x800000E0, 0x800000E1)


def recognise(head: bytes) -> Kind | None:
    """Say which kind of event log this is; None when it is none.

    Args:
        head: The first bytes of the file, at least its first two events.
    """
    if head.startswith(_AGILE, _PCR_EVENT.size):
        return Kind.EVENT_LOG
    if head.startswith(_OLD, _PCR_EVENT.size) or _is_event(head, 0):
        return Kind.EVENT_LOG_12
    return None


def _is_event(head: bytes, start: int) -> bool:
    """Say whether an event of a common type begins there, and another after the first."""
    if len(head) < start + _PCR_EVENT.size:
        return False
    pcr, kind, digest, size = _PCR_EVENT.unpack_from(head, start)
    if pcr >= _PCRS or kind not in _COMMON_TYPES or size >= _MAX_EVENT or not any(digest):
        return False
    end = start + _PCR_EVENT.size + size
    return bool(start) or len(head) == end or _is_event(head, end)
