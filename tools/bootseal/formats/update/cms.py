# SPDX-License-Identifier: MIT
"""The signature of an update bundle or an application: CMS SignedData in DER.

Only the forms that RAUC, systemd-repart and this tool write: one signer, named by issuer and serial
number, without unsigned attributes, no revocation lists, RSA with PKCS #1 v1.5 or ECDSA. That of a
bundle signs attributes, that of an application the content itself.

Spec: RFC 5652 sections 3, 5 and 11; RFC 3370, 5754 and 5753 (algorithms).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bootseal.errors import FormatError
from bootseal.formats.update.der import INTEGER, OCTETS, OID, SEQUENCE, SET, Values

DATA: Final = bytes.fromhex("2a864886f70d010701")
SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
ENVELOPED_DATA: Final = bytes.fromhex("2a864886f70d010703")
CONTENT_TYPE: Final = bytes.fromhex("2a864886f70d010903")
MESSAGE_DIGEST: Final = bytes.fromhex("2a864886f70d010904")
SIGNING_TIME: Final = bytes.fromhex("2a864886f70d010905")
HASHES: Final = {
    bytes.fromhex(f"60864801650304020{number}"): name
    for number, name in ((1, "sha256"), (2, "sha384"), (3, "sha512"))
}
"""Hashes by the content of their OIDs."""
RSA: Final = bytes.fromhex("2a864886f70d010101")
_RSA_WITH: Final = {
    bytes.fromhex(f"2a864886f70d01010{number}"): name
    for number, name in (("b", "sha256"), ("c", "sha384"), ("d", "sha512"))
}
ECDSA_WITH: Final = {
    bytes.fromhex(f"2a8648ce3d04030{number}"): name
    for number, name in ((2, "sha256"), (3, "sha384"), (4, "sha512"))
}
EXPLICIT: Final = 0xA0
_LISTS: Final = 0xA1
_UTC_TIME, _TIME = 0x17, 0x18
_NULL: Final = bytes.fromhex("0500")
_MAX_CERTIFICATES: Final = 8
_MAX_ATTRIBUTES: Final = 16
_VERSION_1: Final = b"\1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """A message and its signature.

    Attributes:
        content: What is signed; None when the message does not hold it.
        certificates: In DER.
        issuer: Name of the signer's issuer, in DER.
        serial: Serial number of the signer's certificate, as the content of a DER integer.
        hash_name: `sha256`, `sha384` or `sha512`.
        is_rsa: Whether the signature is one of RSA; else it is one of ECDSA.
        attributes: The signed attributes as they are signed: a SET in DER. Empty where there are
            none, as are the next two: then the content is what is signed.
        content_type: What the attributes say of the content: the content of an OID.
        message_digest: Likewise, its digest.
        signing_time: Likewise, when it was signed, seconds since 1970; None when they do not.
        signature: The signature over the attributes.
    """

    content: bytes | None
    certificates: tuple[bytes, ...]
    issuer: bytes
    serial: bytes
    hash_name: str
    is_rsa: bool
    attributes: bytes
    content_type: bytes
    message_digest: bytes
    signing_time: int | None
    signature: bytes


def parse(message: bytes, *, attributes: bool = True) -> SignedData | None:
    """Read a message.

    Args:
        message: The message.
        attributes: The signer has to sign attributes; else it must not.

    Returns:
        None for an encrypted message, which cannot be read.

    Raises:
        FormatError: It is malformed, or of another form.
    """
    outer = Values(message, "the CMS message")
    info = outer.into(SEQUENCE)
    outer.end()
    kind = info.take(OID)
    if kind == ENVELOPED_DATA:
        return None
    if kind != SIGNED_DATA:
        raise FormatError(f"a CMS message of type {kind.hex()}: expected SignedData")
    wrapped = info.into(EXPLICIT)
    info.end()
    signed = wrapped.into(SEQUENCE)
    wrapped.end()
    if signed.take(INTEGER) != _VERSION_1:
        raise FormatError("CMS SignedData of another version than 1")
    hashes = signed.into(SET)
    content = _content(signed.into(SEQUENCE))
    certificates = _certificates(signed)
    if signed.next_is(_LISTS):
        raise FormatError("the CMS message holds revocation lists, which nothing reads")
    signers = signed.into(SET)
    signed.end()
    signer = signers.into(SEQUENCE)
    if signers:
        raise FormatError("the CMS message has more than one signer: expected one")
    found = _signer(signer, content, certificates, attributes=attributes)
    # OpenSSL makes the digests that are named here, and looks for the signer's among them.
    if _hash(hashes.into(SEQUENCE)) != found.hash_name or hashes:
        raise FormatError(
            f"the CMS message names other hashes than its signer: expected {found.hash_name} alone"
        )
    return found


def _content(values: Values) -> bytes | None:
    kind = values.take(OID)
    if kind != DATA:
        raise FormatError(f"the CMS message signs content of type {kind.hex()}: expected data")
    if not values:
        return None
    wrapped = values.into(EXPLICIT)
    values.end()
    content = wrapped.take(OCTETS)
    wrapped.end()
    return content


def _certificates(values: Values) -> tuple[bytes, ...]:
    if not values.next_is(EXPLICIT):
        return ()
    listed = values.into(EXPLICIT)
    found: list[bytes] = []
    while listed:
        if len(found) == _MAX_CERTIFICATES:
            raise FormatError(f"the CMS message has more than {_MAX_CERTIFICATES} certificates")
        found.append(listed.whole(SEQUENCE))
    return tuple(found)


def _signer(
    values: Values, content: bytes | None, certificates: tuple[bytes, ...], *, attributes: bool
) -> SignedData:
    if values.take(INTEGER) != _VERSION_1:
        raise FormatError("the signer is not named by issuer and serial number")
    name = values.into(SEQUENCE)
    issuer, serial = name.whole(SEQUENCE), name.take(INTEGER)
    name.end()
    hash_name = _hash(values.into(SEQUENCE))
    if attributes and not values.next_is(EXPLICIT):
        raise FormatError("the signer signed no attributes: expected content type and digest")
    signed = b""
    found: dict[bytes, Values] = {}
    if attributes:
        signed = bytes([SET]) + values.whole(EXPLICIT)[1:]
        found = _attributes(Values(signed, "the signed attributes").into(SET))
    is_rsa = _is_rsa(values.into(SEQUENCE), hash_name)
    signature = values.take(OCTETS)
    values.end()
    when = found.get(SIGNING_TIME)
    return SignedData(
        content=content,
        certificates=certificates,
        issuer=issuer,
        serial=serial,
        hash_name=hash_name,
        is_rsa=is_rsa,
        attributes=signed,
        content_type=_single(found, CONTENT_TYPE, OID) if attributes else b"",
        message_digest=_single(found, MESSAGE_DIGEST, OCTETS) if attributes else b"",
        signing_time=None if when is None else _time(when),
        signature=signature,
    )


def _hash(values: Values) -> str:
    kind = values.take(OID)
    _parameters(values)
    if kind not in HASHES:
        raise FormatError(f"the hash {kind.hex()}: expected SHA-256, SHA-384 or SHA-512")
    return HASHES[kind]


def _is_rsa(values: Values, hash_name: str) -> bool:
    kind = values.take(OID)
    _parameters(values)
    if kind == RSA or _RSA_WITH.get(kind) == hash_name:
        return True
    if ECDSA_WITH.get(kind) == hash_name:
        return False
    raise FormatError(
        f"the signature algorithm {kind.hex()} with {hash_name}: expected RSA with PKCS #1 v1.5, "
        "or ECDSA, with the same hash"
    )


def _parameters(values: Values) -> None:
    """Take the parameters of an algorithm: none, or NULL."""
    if values:
        values.take(_NULL[0])
    values.end()


def _attributes(values: Values) -> dict[bytes, Values]:
    """Return the one value of each attribute, by the content of its OID."""
    found: dict[bytes, Values] = {}
    while values:
        attribute = values.into(SEQUENCE)
        kind = attribute.take(OID)
        if kind in found or len(found) == _MAX_ATTRIBUTES:
            raise FormatError(f"the signed attribute {kind.hex()} comes twice, or is one too many")
        found[kind] = attribute.into(SET)
        attribute.end()
    return found


def _single(found: dict[bytes, Values], kind: bytes, tag: int) -> bytes:
    if kind not in found:
        raise FormatError(f"the signed attribute {kind.hex()} is missing")
    value = found[kind].take(tag)
    found[kind].end()
    return value


def _time(values: Values) -> int:
    """Read a Time, RFC 5652 section 11.3: always Zulu, with seconds and nothing behind them."""
    short = values.next_is(_UTC_TIME)
    text = values.take(_UTC_TIME if short else _TIME)
    values.end()
    try:
        written = text.decode("ascii")
        century = ("19" if written >= "5" else "20") if short else ""
        when = datetime.strptime(f"{century}{written}", "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
        again = when.strftime("%y%m%d%H%M%SZ" if short else "%Y%m%d%H%M%SZ")
    except ValueError as error:
        raise FormatError(f"the signing time is {text[:20]!r}") from error
    if again != written:
        raise FormatError(f"the signing time is {text[:20]!r}")
    return int(when.timestamp())
