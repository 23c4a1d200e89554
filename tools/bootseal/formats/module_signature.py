# SPDX-License-Identifier: MIT
"""The signature appended to a kernel module: a PKCS#7 message over the bytes before it.

Only what `scripts/sign-file` writes is read: one signer, no signed attributes.

Spec: Linux include/linux/module_signature.h, kernel/module_signature.c; RFC 5652, 5.1 and 5.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError

MARK: Final = b"~Module signature appended~\n"

# What precedes the mark: algorithm, hash, type of the signature, two sizes, padding, and the size
# of the signature in bytes, big-endian. Of PKCS#7, only the type and the last are not zero.
_TRAILER: Final = struct.Struct(">2sB5sI")
_PKCS7: Final = 2
_UNUSED: Final = (bytes(2), bytes(5))
_MOST: Final = 0xFFFFFFFF
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OID: Final = 0x06
_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
_HASHES: Final = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSignature:
    """A module's signature.

    Attributes:
        content: Size in bytes of what is signed, from the start of the module.
        hash_name: For example `sha256`.
        signature: The signature itself: RSA big-endian, or ECDSA as DER.
    """

    content: int
    hash_name: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What is appended to a module.

    Attributes:
        content: Size in bytes of what is signed, from the start of the module.
        message: The PKCS#7 message, in DER.
    """

    content: int
    message: bytes


def append(content: bytes, message: bytes) -> tuple[bytes, ...]:
    """Return the parts of a signed module.

    Args:
        content: The module without a signature.
        message: The PKCS#7 message, in DER.

    Raises:
        FormatError: There is no message, or it is too long for its size field of 32 bits.
    """
    if not 0 < len(message) <= _MOST:
        raise FormatError(f"the module signature has {len(message)} bytes")
    trailer = _TRAILER.pack(_UNUSED[0], _PKCS7, _UNUSED[1], len(message))
    return content, message, trailer, MARK


def split(module: bytes) -> Appended | None:
    """Find the signature of a module, as the kernel does; None without the mark of one.

    Raises:
        FormatError: There is a mark, and what precedes it is not a PKCS#7 signature.
    """
    if not module.endswith(MARK):
        return None
    end = len(module) - len(MARK) - _TRAILER.size
    if end < 0:
        raise FormatError("the module signature has no room for its trailer")
    first, kind, last, size = _TRAILER.unpack_from(module, end)
    if kind != _PKCS7 or not 0 < size < end:
        raise FormatError(f"the module signature is of type {kind} with {size} bytes: not PKCS#7")
    if (first, last) != _UNUSED:
        raise FormatError(
            f"the module signature has {(first + last).hex()} in unused fields: expected zeros"
        )
    return Appended(content=end - size, message=module[end - size : end])


def parse(module: bytes) -> ModuleSignature | None:
    """Read the signature of a module; None without the mark of one.

    Raises:
        FormatError: There is a mark, and what precedes it is not a signature.
    """
    found = split(module)
    if found is None:
        return None
    hash_name, signature = _signer(found.message)
    return ModuleSignature(content=found.content, hash_name=hash_name, signature=signature)


def _signer(message: bytes) -> tuple[str, bytes]:
    """Return hash and signature of the only signer of a PKCS#7 message."""
    outer = _inside(message, _SEQUENCE)
    wrapped = outer[1][1] if len(outer) == 2 and outer[0] == (_OID, _SIGNED_DATA) else b""  # noqa: PLR2004 - type and content
    fields = _inside(wrapped, _SEQUENCE)
    if not fields or fields[-1][0] != _SET:
        raise FormatError("the module signature is PKCS#7 without signers")
    signers = list(_values(fields[-1][1]))
    if len(signers) != 1 or signers[0][0] != _SEQUENCE:
        raise FormatError(f"the module signature has {len(signers)} signers: expected one")
    # Version, who, hash, algorithm, signature: signed attributes would precede the fourth.
    match list(_values(signers[0][1])):
        case [_, _, (0x30, hashed), (0x30, _), (0x04, signature)]:
            oid = next(_values(hashed), (0, b""))
        case _:
            raise FormatError("the module signature has a signer of another form than sign-file's")
    if oid[0] != _OID or oid[1] not in _HASHES:
        raise FormatError(f"the module signature uses the unknown hash {oid[1].hex()}")
    return _HASHES[oid[1]], signature


def _inside(data: bytes, tag: int) -> list[tuple[int, bytes]]:
    found = list(_values(data))
    if len(found) != 1 or found[0][0] != tag:
        raise FormatError("the module signature is not a PKCS#7 message")
    return list(_values(found[0][1]))


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each DER value in `data`."""
    at = 0
    while at < len(data):
        size = data[at + 1] if at + 2 <= len(data) else -1
        start = at + 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[at + 2 : start]) if size & 0x7F in {1, 2, 3} else -1
        if size < 0 or start + size > len(data):
            raise FormatError("the module signature holds a value that does not end")
        yield data[at], data[start : start + size]
        at = start + size
