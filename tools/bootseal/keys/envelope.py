# SPDX-License-Identifier: MIT
"""What only some keys can open, as RAUC makes and opens it: CMS EnvelopedData, dm-crypt's blocks.

A message is encrypted with AES-256-CBC; its key is encrypted with each recipient's RSA key, PKCS #1
v1.5. The library does not do so for elliptic curves.

Spec: RFC 5652 section 6; RFC 3370 section 4.2.1 (key transport); RAUC src/crypt.c; Linux, dm-crypt
(aes-cbc-plain64, `sector_size:4096`, without `iv_large_sectors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.formats.update import enveloped
from bootseal.formats.verity import BLOCK
from bootseal.keys import public
from bootseal.keys.certificate import UNREADABLE, identifier, is_authority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.formats.fdt.scan import Buffer
    from bootseal.keys.signers.file import PrivateKey

_LEAST: Final = 2048
_VECTOR: Final = 16
_SECTOR: Final = 512
"""Bytes that the number in an initialisation vector counts in, however large the blocks are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """A recipient's key, and the certificate by which messages name it."""

    private: PrivateKey
    certificate: x509.Certificate


def opener(private: PrivateKey, certificate: x509.Certificate) -> Opener:
    """Return what opens messages.

    Raises:
        UsageError: The certificate is not one to encrypt for, or is for another key.
    """
    demand_recipient(certificate, "the certificate")
    if public.from_crypto(private.public_key()) != public.from_crypto(certificate.public_key()):
        raise UsageError("the certificate is for another key than the one that is to decrypt")
    return Opener(private=private, certificate=certificate)


def demand_recipient(certificate: x509.Certificate, what: str) -> None:
    """Refuse a certificate for whose key nothing can be encrypted.

    Args:
        certificate: The certificate.
        what: What it is called in the message.

    Raises:
        UsageError: Its key is not an RSA key of 2048 bits or more, or is for other uses.
    """
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _LEAST:
        bits = f" of {key.key_size} bits" if isinstance(key, rsa.RSAPublicKey) else ""
        raise UsageError(
            f"{what} is for a {type(key).__name__}{bits}: expected one for an RSA key of "
            f"{_LEAST} bits or more"
        )
    if is_authority(certificate):
        raise UsageError(f"{what} is that of a CA: expected that of a device's key")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_encipherment:
        raise UsageError(f"{what} is not for key encipherment, which is what its key has to do")


def seal(content: bytes, recipients: Sequence[x509.Certificate]) -> bytes:
    """Encrypt a message.

    Args:
        content: The message.
        recipients: Whose keys can open it; each once.

    Returns:
        EnvelopedData in DER, read again.

    Raises:
        UsageError: A certificate is not one to encrypt for, or comes twice.
    """
    if len({identifier(each) for each in recipients}) < len(recipients):
        raise UsageError("a recipient comes twice: expected each certificate once")
    builder = (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(content)
        .set_content_encryption_algorithm(algorithms.AES256)
    )
    for each in recipients:
        demand_recipient(each, f"the certificate of {each.subject.rfc4514_string()}")
        builder = builder.add_recipient(each)
    made = builder.encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    found = enveloped.parse(made)
    names = {(each.issuer, each.serial) for each in found.recipients}
    if found.cipher != enveloped.AES_256_CBC or names != {identifier(each) for each in recipients}:
        raise FormatError("the encrypted message is not for the recipients that were given")
    return made


def unseal(message: bytes, by: Opener) -> bytes:
    """Decrypt a message.

    Raises:
        FormatError: It is malformed.
        VerificationRefused: It is for other recipients, or does not open.
    """
    found = enveloped.parse(message)
    if identifier(by.certificate) not in [(each.issuer, each.serial) for each in found.recipients]:
        raise VerificationRefused(
            f"it is encrypted for {shown(found)}: not for {by.certificate.serial_number:x} "
            f"of {by.certificate.issuer.rfc4514_string()}"
        )
    private = by.private
    if not isinstance(private, rsa.RSAPrivateKey):
        raise UsageError("the key that is to decrypt is not an RSA key")
    try:
        return pkcs7.pkcs7_decrypt_der(message, by.certificate, private, [])
    except UNREADABLE as error:
        raise VerificationRefused(f"it does not open: {public.first_line(error)}") from error


def shown(found: enveloped.Enveloped) -> str:
    """Return who can open a message, by the serial numbers of their certificates."""
    numbers = [f"{int.from_bytes(each.serial):x}" for each in found.recipients]
    if found.others:
        numbers.append(f"{found.others} by other means")
    return ", ".join(numbers) or "nobody"


def blocks(data: Buffer, key: bytes, *, decrypt: bool) -> Iterator[bytes]:
    """Encrypt or decrypt as dm-crypt does, each 4096 bytes by themselves.

    Args:
        data: Whole blocks.
        key: Of AES-256, 32 bytes.
        decrypt: Which of both.
    """
    view = memoryview(data)
    for start in range(0, len(view), BLOCK):
        vector = (start // _SECTOR).to_bytes(_VECTOR, "little")
        cipher = Cipher(algorithms.AES256(key), modes.CBC(vector))
        context = cipher.decryptor() if decrypt else cipher.encryptor()
        yield context.update(view[start : start + BLOCK]) + context.finalize()
