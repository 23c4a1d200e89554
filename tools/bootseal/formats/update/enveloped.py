# SPDX-License-Identifier: MIT
"""An encrypted CMS message: its recipients and its cipher. Nothing is decrypted here.

Spec: RFC 5652 section 6 (EnvelopedData); RFC 3565 (AES in CMS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError
from bootseal.formats.update import cms
from bootseal.formats.update.der import INTEGER, OCTETS, OID, SEQUENCE, SET, Values

AES_256_CBC: Final = "AES-256-CBC"
_CIPHERS: Final = {
    bytes.fromhex("60864801650304012a"): AES_256_CBC,
    bytes.fromhex("608648016503040102"): "AES-128-CBC",
}
_AGREEMENT: Final = 0xA1
_BY_KEY_IDENTIFIER: Final = 0x80
_CONTENT: Final = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Whose key opens the message, by key transport.

    Attributes:
        issuer: Name of the certificate's issuer, in DER.
        serial: Its serial number, as the content of a DER integer.
    """

    issuer: bytes
    serial: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Enveloped:
    """What can be told of a message without a key.

    Attributes:
        recipients: Those that are named by a certificate, in the order of the message.
        others: How many more there are: by key agreement, or named by a key's identifier.
        cipher: Of the content, such as `AES-256-CBC`; the OID's content in hex if it is another.
    """

    recipients: tuple[Recipient, ...]
    others: int
    cipher: str


def parse(message: bytes) -> Enveloped:
    """Read a message.

    Raises:
        FormatError: It is malformed, or not encrypted for recipients.
    """
    outer = Values(message, "the encrypted CMS message")
    info = outer.into(SEQUENCE)
    outer.end()
    kind = info.take(OID)
    if kind != cms.ENVELOPED_DATA:
        raise FormatError(f"a CMS message of type {kind.hex()}: expected EnvelopedData")
    wrapped = info.into(cms.EXPLICIT)
    info.end()
    enveloped = wrapped.into(SEQUENCE)
    wrapped.end()
    enveloped.take(INTEGER)
    listed, recipients, others = enveloped.into(SET), [], 0
    while listed:
        if listed.next_is(_AGREEMENT):
            listed.take(_AGREEMENT)
            others += 1
            continue
        found = _recipient(listed.into(SEQUENCE))
        if found is None:
            others += 1
        else:
            recipients.append(found)
    cipher = _cipher(enveloped.into(SEQUENCE))
    enveloped.end()
    return Enveloped(recipients=tuple(recipients), others=others, cipher=cipher)


def _recipient(values: Values) -> Recipient | None:
    values.take(INTEGER)
    named = None
    if values.next_is(_BY_KEY_IDENTIFIER):
        values.take(_BY_KEY_IDENTIFIER)
    else:
        name = values.into(SEQUENCE)
        named = Recipient(issuer=name.whole(SEQUENCE), serial=name.take(INTEGER))
        name.end()
    values.take(SEQUENCE)
    values.take(OCTETS)
    values.end()
    return named


def _cipher(values: Values) -> str:
    kind = values.take(OID)
    if kind != cms.DATA:
        raise FormatError(f"the encrypted content is of type {kind.hex()}: expected data")
    algorithm = values.into(SEQUENCE)
    cipher = algorithm.take(OID)
    values.take(_CONTENT)
    values.end()
    return _CIPHERS.get(cipher, cipher.hex())
