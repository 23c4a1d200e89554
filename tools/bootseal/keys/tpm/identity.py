# SPDX-License-Identifier: MIT
"""Keys that identify a device: their required form, and their certification requests.

Spec: TCG TPM 2.0 Library, part 2, 8.3 (TPMA_OBJECT); RFC 2986 (certification requests).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from bootseal.errors import FormatError
from bootseal.formats.tpm.structures import Attribute, EccKey
from bootseal.keys import certificate, public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.formats.tpm.structures import Public
    from bootseal.keys.public import PublicKey

ATTRIBUTES: Final = (
    Attribute.FIXED_TPM
    | Attribute.FIXED_PARENT
    | Attribute.SENSITIVE_DATA_ORIGIN
    | Attribute.USER_WITH_AUTH
    | Attribute.NO_DA
    | Attribute.SIGN
)
"""Exactly those of an identity key: made in its TPM, stays there, signs and does nothing else."""

_BIT_STRING: Final = 0x03
# What the library raises for malformed requests.
_UNREADABLE: Final = (
    *(ValueError, TypeError, UnsupportedAlgorithm, Warning),
    *(x509.InvalidVersion, x509.DuplicateExtension),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A certification request (CSR). Its subject and extensions are ignored.

    Attributes:
        public_key: The key that a certificate is wanted for.
        signed: Whether the request is signed with that key, by SHA-256 or better.
    """

    public_key: PublicKey
    signed: bool


def wrong_attributes(found: Public) -> str:
    """Say which attributes of a key are not those of an identity key; empty if they are."""
    # As numbers: the complement of a flag leaves out the bits that have no name here.
    has, wanted = found.attributes, int(ATTRIBUTES)
    parts = [
        f"{word} {', '.join(_names(bits))}"
        for word, bits in (("lacks", wanted & ~has), ("also has", has & ~wanted))
        if bits
    ]
    return " and ".join(parts)


def _names(bits: int) -> Iterator[str]:
    """Yield the name of each attribute; of one that this project has no use for, its bit."""
    for number in range(bits.bit_length()):
        if bits >> number & 1:
            name = Attribute(1 << number).name
            yield name.lower().replace("_", "") if name else f"bit {number}"


def wrong_form(found: Public) -> str:
    """Say what else an identity key must not have: algorithm, scheme or policy; empty if nothing.

    Clients choose hash and scheme, so the key must leave them open, and no PKCS#11 client can
    satisfy a policy.
    """
    if not isinstance(found.key, EccKey):
        return "is an RSA key: expected P-256 or P-384"
    if found.scheme is not None:
        return f"signs by {found.scheme.name} with {found.scheme_hash} only: expected no scheme"
    if found.policy:
        return f"has the policy {found.policy.hex()}: expected none"
    return ""


def read_request(der: bytes) -> CertificateRequest:
    """Read a certification request, DER, with nothing left over.

    Raises:
        FormatError: It is malformed, or of a key that is not supported.
    """
    try:
        with warnings.catch_warnings():
            # The library reads some malformed requests and warns.
            warnings.simplefilter("error")
            found = x509.load_der_x509_csr(der)
            key = public.from_crypto(found.public_key())
            hashed = isinstance(found.signature_hash_algorithm, SHA256 | SHA384 | SHA512)
            signed = hashed and found.is_signature_valid
            signature = found.signature
    except _UNREADABLE as error:
        raise FormatError(
            f"not a certification request in DER form: {public.first_line(error)}"
        ) from error
    # The library reads a BIT STRING that is not one of whole bytes.
    if not der.endswith(certificate.der(_BIT_STRING, b"\0" + signature)):
        raise FormatError("the certification request's signature is not a whole number of bytes")
    return CertificateRequest(public_key=key, signed=signed)
