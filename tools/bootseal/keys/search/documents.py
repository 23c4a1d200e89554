# SPDX-License-Identifier: MIT
"""Finds private keys in documents: JSON Web Keys, PuTTY's files, and base64 without PEM's lines.

Public halves are of no interest here. Base64 is looked for in texts alone.

Spec: RFC 7517, 7518, 8037; PuTTY manual, appendix C.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519

from bootseal.keys.search.der import first_key
from bootseal.keys.search.found import FAILURES, FoundKey, private_key, spki_of
from bootseal.keys.search.pem import pem_keys

if TYPE_CHECKING:
    import mmap

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_TEXT: Final = 4096
_JWK: Final = b"kty"
_BEFORE, _AFTER = 8192, 16384
_MIN_SECRET: Final = 32
_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
_OKP: Final[dict[str, Callable[[bytes], PublicKeyTypes]]] = {
    "Ed25519": ed25519.Ed25519PublicKey.from_public_bytes,
    "Ed448": ed448.Ed448PublicKey.from_public_bytes,
    "X25519": x25519.X25519PublicKey.from_public_bytes,
    "X448": x448.X448PublicKey.from_public_bytes,
}
_PUTTY: Final = re.compile(
    rb"PuTTY-User-Key-File-[0-9]: ([a-z0-9-]{3,64})\s+"
    rb"(?:(?!Public-Lines)[A-Z][A-Za-z0-9-]{1,40}:[^\r\n]{0,400}\s+)*"
    rb"Public-Lines: [0-9]{1,4}\s+([A-Za-z0-9+/=\s]{20,65536}?)\s+"
    rb"(?:(?!Private-Lines)[A-Z][A-Za-z0-9-]{1,40}:[^\r\n]{0,400}\s+)*"
    rb"Private-Lines: [0-9]{1,4}\s+([A-Za-z0-9+/=\s]{20,65536})"
)
# How a private key begins in base64: a sequence with a length of two, one or no further bytes, then
# a version, or for one that is encrypted the algorithm; or the first line of a PEM file.
_BASE64: Final = re.compile(
    rb"(?:M(?<![\w+/-]M)(?:I[I-L][\w+/-]{2}[AQgw]IBA|I[E-H][\w+/-]AgE[AB]|[A-H][\w+/-]CAQ[A-P]"
    rb"|I[I-L][\w+/-]{2}[DTjz][\w+/-]{2}Bgkqhki|I[E-H][\w+/-]M[\w+/-]{2}GCSqGSIb3)"
    rb"|LS0tLS1CRUdJTi)"
    rb"[\w+/-]{32,65536}(?:(?:\\n|\s{1,64})[\w+/-]{1,1024}){0,2000}"
)


def document_keys(data: mmap.mmap | bytes) -> Iterator[FoundKey]:
    """Yield the private keys in documents."""
    at = data.find(_JWK)
    while at >= 0:
        start = data.rfind(b"{", max(0, at - _BEFORE), at)
        end = data.find(b"}", at, at + _AFTER)
        if 0 <= start < end and (found := _web_key(data[start : end + 1], start)):
            yield found
        at = data.find(_JWK, at + len(_JWK))
    at = data.find(b"PuTTY-User-Key-File-")
    while at >= 0:
        if match := _PUTTY.match(data, at):
            blob = match[3]
            yield private_key(at, "PuTTY", blob, _putty_public(match[1], match[2]))
        at = data.find(b"PuTTY-User-Key-File-", at + 1)
    if b"\0" not in data[:_TEXT]:
        for match in _BASE64.finditer(data):
            yield from _encoded(match)


def _encoded(match: re.Match[bytes]) -> Iterator[FoundKey]:
    # The lines of a PEM block look the same, and are found with it.
    if match.string[max(0, match.start() - 64) : match.start()].rstrip().endswith(b"-----"):
        return
    text = re.sub(rb"\\n|\s", b"", match[0]).translate(bytes.maketrans(b"-_", b"+/"))
    try:
        raw = base64.b64decode(text[: len(text) // 4 * 4])
    except binascii.Error:
        return
    # What is left over is part of the key when the padding was left out, or cut off by us.
    if rest := text[len(text) // 4 * 4 :]:
        raw += base64.b64decode(rest.ljust(4, b"A"))[: len(rest) - 1]
    found = [key] if (key := first_key(raw)) else list(pem_keys(raw))
    for key in found:
        if key.private:
            yield replace(key, offset=match.start(), form=f"base64 of {key.form}")


def _web_key(text: bytes, offset: int) -> FoundKey | None:
    for each in (text, text.replace(b'\\"', b'"')):
        try:
            key = json.loads(each)
        except (ValueError, RecursionError):
            continue
        kind, secret = (key.get("kty"), key.get("d")) if isinstance(key, dict) else (None, None)
        if isinstance(kind, str) and isinstance(secret, str) and len(secret) >= _MIN_SECRET:
            form = f"JWK {kind}" if kind in {"RSA", "EC", "OKP"} else "JWK"
            return private_key(offset, form, text, _web_key_public(key))
    return None


def _web_key_public(key: dict[str, object]) -> bytes:
    def number(name: str) -> int:
        return int.from_bytes(raw(name))

    def raw(name: str) -> bytes:
        text = str(key[name])
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    curve = str(key.get("crv"))
    try:
        if key["kty"] == "RSA":
            return spki_of(rsa.RSAPublicNumbers(number("e"), number("n")).public_key())
        if key["kty"] == "EC":
            point = ec.EllipticCurvePublicNumbers(number("x"), number("y"), _CURVES[curve])
            return spki_of(point.public_key())
        return spki_of(_OKP[curve](raw("x")))
    except (*FAILURES, KeyError):
        return b""


def _putty_public(kind: bytes, blob: bytes) -> bytes:
    line = kind + b" " + re.sub(rb"\s", b"", blob)
    try:
        return spki_of(serialization.load_ssh_public_key(line))
    except FAILURES:
        return b""
