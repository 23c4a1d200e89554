# SPDX-License-Identifier: MIT
"""Which kind of key or certificate in DER form some bytes are, by their outermost tags.

Spec: ITU-T X.690; RFC 5208, 5280, 5915, 7292, 8017.
"""

from __future__ import annotations

from typing import Final

from bootseal.formats.kinds.kind import Kind

_SEQUENCE, _INTEGER, _CONTEXT, _OID = 0x30, 0x02, 0xA0, 0x06
_PKCS12_VERSION: Final = bytes.fromhex("020103")
_ENCRYPTED_KEY: Final = bytes.fromhex("06092a864886f70d0105")
_LONG, _LONGEST = 0x80, 4


def recognise(head: bytes, size: int) -> Kind | None:
    """Identify a key or certificate in DER form; None for anything else.

    Args:
        head: The first bytes of the file.
        size: Bytes of the whole file, all of which the value must be.
    """
    outer = _value(head, 0)
    if outer is None or head[0] != _SEQUENCE or outer[1] != size:
        return None
    first = outer[0]
    if head.startswith(_PKCS12_VERSION, first):
        return Kind.PKCS12
    if head[first] == _INTEGER:
        # Private keys begin with their version, a public key of PKCS#1 with its modulus.
        version = head[first + 1 : first + 2] == b"\x01"
        return Kind.DER_PRIVATE_KEY if version else Kind.DER_PUBLIC_KEY
    inner = _value(head, first) if head[first] == _SEQUENCE else None
    if inner is None or inner[0] >= len(head):
        return None
    if head[inner[0]] == _OID:
        encrypted = head.startswith(_ENCRYPTED_KEY, inner[0])
        return Kind.DER_PRIVATE_KEY if encrypted else Kind.DER_PUBLIC_KEY
    return Kind.DER_CERTIFICATE if head[inner[0]] in {_CONTEXT, _INTEGER} else None


def _value(head: bytes, at: int) -> tuple[int, int] | None:
    """Return where the content of a DER value begins and ends, None when it cannot be one."""
    if at + 2 > len(head):
        return None
    size, start = head[at + 1], at + 2
    if size > _LONG:
        count = size - _LONG
        size = int.from_bytes(head[start : start + count])
        start += count
        if count > _LONGEST:
            return None
    return (start, start + size) if size != _LONG and start < len(head) else None
