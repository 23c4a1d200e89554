# SPDX-License-Identifier: MIT
"""Certificates of a boot chain as Trusted Firmware-A reads them (TBBR).

Each is an X.509 v3 certificate that is issued by itself. What it says is in critical extensions
below Arm's arc: a counter, digests of images, or keys that sign further certificates. A ROM has no
clock and TF-A looks at neither names nor dates, so these are the same in each certificate of a
name: signing again signs the same bytes.

Read strictly: DER with nothing left over, one form of each algorithm identifier, and no extension
that neither TF-A nor cert_create knows.

Spec: Arm DEN0006 (TBBR-CLIENT); TF-A drivers/auth/mbedtls/mbedtls_x509_parser.c; RFC 4055, 5280.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from bootseal.errors import FormatError, VerificationRefused
from bootseal.keys import certificate, public
from bootseal.keys.algorithms import Algorithm, Padding
from bootseal.keys.public import HASHES

if TYPE_CHECKING:
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer

HASH: Final = "sha256"
"""The hash of what is signed here: the only one that every platform's ROM checks keys with."""
MAX_COUNTER: Final = (1 << 31) - 1

_ARC: Final = "1.3.6.1.4.1.4128.2100."
_START: Final = datetime(2020, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 section 4.1.2.5: no end
_STANDARD: Final = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.BasicConstraints)
_VERSION_3: Final = bytes.fromhex("a003020102")
_INTEGER, _SEQUENCE, _BIT_STRING, _EXTENSIONS = 0x02, 0x30, 0x03, 0xA3
_NUMBERS: Final = {"sha256": 1, "sha384": 2, "sha512": 3}
_HASH_OIDS: Final = {
    name: bytes.fromhex(f"06096086480165030402{number:02x}0500")
    for name, number in _NUMBERS.items()
}


def _pss(hash_name: str) -> bytes:
    """Return the one identifier of RSASSA-PSS with a hash that TF-A accepts, RFC 4055 section 3."""
    der, size = certificate.der, hashlib.new(hash_name).digest_size
    hashed = der(_SEQUENCE, _HASH_OIDS[hash_name])
    mgf = der(_SEQUENCE, bytes.fromhex("06092a864886f70d010108") + hashed)
    salt = der(_INTEGER, bytes([size]))
    parameters = der(0xA0, hashed) + der(0xA1, mgf) + der(0xA2, salt)
    oid = bytes.fromhex("06092a864886f70d01010a")
    return der(_SEQUENCE, oid + der(_SEQUENCE, parameters))


# Identifier to hash, and whether it is one of RSA; ECDSA by RFC 5758 section 3.2.
_IDENTIFIERS: Final = {_pss(name): (name, True) for name in _NUMBERS} | {
    bytes.fromhex(f"300a06082a8648ce3d0403{number + 1:02x}"): (name, False)
    for name, number in _NUMBERS.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BootCertificate:
    """A certificate of a boot chain.

    Attributes:
        public_key: Its subject key.
        hash_name: Hash of its signature.
        is_rsa: Whether that is one of RSA, with PSS; else it is one of ECDSA.
        extensions: Values by the last number of their OID, in order.
        signed: The bytes that are signed.
        signature: RSA: big-endian; ECDSA: DER.
    """

    public_key: PublicKey
    hash_name: str
    is_rsa: bool
    extensions: Mapping[int, bytes]
    signed: bytes
    signature: bytes


def issue(name: str, signer: Signer, extensions: Mapping[int, bytes]) -> bytes:
    """Make a certificate in DER form, issued by itself.

    Args:
        name: Common name.
        signer: What signs it; its public key becomes the subject key.
        extensions: Values by the last number of their OID, in the order that they are to have.
    """
    public_key = signer.public_key
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    content = hashlib.sha256(name.encode() + b"".join(extensions.values()))
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=public_key.crypto,
        serial_number=int.from_bytes(content.digest()[:8]) | 1,
        not_valid_before=_START,
        not_valid_after=_END,
    )
    for number, value in extensions.items():
        oid = x509.ObjectIdentifier(f"{_ARC}{number}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=True)
    kind = public_key.kind
    algorithm = Algorithm(
        hash_name=HASH, kind=kind, padding=Padding.PSS if kind.is_rsa else Padding.PKCS1
    )
    return certificate.sign(builder, signer, algorithm).public_bytes(Encoding.DER)


def read(der: bytes) -> BootCertificate:
    """Read a certificate of a boot chain. Its signature is not checked.

    Raises:
        FormatError: It is malformed, or of a form that TF-A does not accept.
    """
    with certificate.reading("not a certificate in DER form"):
        found = x509.load_der_x509_certificate(der)
        serial, key = found.serial_number, public.from_crypto(found.public_key())
        extensions = list(found.extensions)
        signed, signature = found.tbs_certificate_bytes, found.signature
        names = (found.issuer.public_bytes(), found.subject.public_bytes())
    identifier = _identifier(der, signed, signature)
    _check_layout(signed, identifier, serial, names, key.spki_der)
    hash_name, is_rsa = _IDENTIFIERS[identifier]
    return BootCertificate(
        public_key=key,
        hash_name=hash_name,
        is_rsa=is_rsa,
        extensions=_values(extensions),
        signed=signed,
        signature=signature,
    )


def verify(found: BootCertificate, key: PublicKey) -> None:
    """Check a certificate's signature, with a salt exactly as long as the digest.

    Raises:
        VerificationRefused: It is not by this key over this content.
    """
    hashed, crypto = HASHES[found.hash_name], key.crypto
    try:
        if isinstance(crypto, rsa.RSAPublicKey) and found.is_rsa:
            scheme = padding.PSS(mgf=padding.MGF1(hashed), salt_length=hashed.digest_size)
            crypto.verify(found.signature, found.signed, scheme, hashed)
        elif isinstance(crypto, ec.EllipticCurvePublicKey) and not found.is_rsa:
            crypto.verify(found.signature, found.signed, ec.ECDSA(hashed))
        else:
            scheme_name = "RSASSA-PSS" if found.is_rsa else "ECDSA"
            raise VerificationRefused(f"a signature by {scheme_name}: the key is {key.kind}")
    except InvalidSignature as error:
        raise VerificationRefused(
            f"the signature is not by key {key.fingerprint()} over this content"
        ) from error


def counter(value: int) -> bytes:
    """Encode the value of a counter.

    >>> counter(128).hex()
    '02020080'
    """
    return certificate.der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def read_counter(value: bytes) -> int:
    """Decode the value of a counter.

    Raises:
        FormatError: It is not one of 0 to 2^31 - 1.
    """
    number = int.from_bytes(value[2:])
    if number > MAX_COUNTER or counter(number) != value:
        raise FormatError(f"the counter is {value[:16].hex()}: expected a DER INTEGER up to 2^31-1")
    return number


def digest_info(hash_name: str, digest: bytes) -> bytes:
    """Encode a digest as a DigestInfo, RFC 8017 section 9.2."""
    algorithm = certificate.der(_SEQUENCE, _HASH_OIDS[hash_name])
    return certificate.der(_SEQUENCE, algorithm + certificate.der(0x04, digest))


def read_digest_info(value: bytes) -> tuple[str, bytes]:
    """Decode a DigestInfo.

    Returns:
        The hash and the digest.

    Raises:
        FormatError: It is not one of SHA-256, SHA-384 or SHA-512.
    """
    for name in _NUMBERS:
        digest = value[-hashlib.new(name).digest_size :]
        if digest_info(name, digest) == value:
            return name, digest
    raise FormatError(
        f"the hash begins with {value[:16].hex()}: expected a DigestInfo of SHA-256, SHA-384 or "
        "SHA-512"
    )


def _identifier(der: bytes, signed: bytes, signature: bytes) -> bytes:
    """Return the signature algorithm of a certificate that is nothing but its three parts."""
    value = certificate.der(_BIT_STRING, b"\0" + signature)
    for identifier in _IDENTIFIERS:
        if der == certificate.der(_SEQUENCE, signed + identifier + value):
            return identifier
    raise FormatError(
        "the signature algorithm is not one that TF-A accepts: expected RSASSA-PSS with equal "
        "hashes and a salt as long as the digest, or ECDSA, by SHA-256, SHA-384 or SHA-512"
    )


def _check_layout(
    signed: bytes, identifier: bytes, serial: int, names: tuple[bytes, bytes], key: bytes
) -> None:
    """Hold the signed part against the only form that it can have, value by value."""
    issuer, subject = names
    number = certificate.der(_INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1))
    size = signed[1] - 0x80 if signed[1] > 0x80 else 0  # noqa: PLR2004 - DER's long form
    rest = signed[2 + size :]
    for what, expected in (
        ("version", _VERSION_3),
        ("serial number", number),
        ("inner signature algorithm", identifier),
        ("issuer", issuer),
        ("validity", b""),
        ("subject", subject),
        ("subject key", key),
        ("list of extensions", bytes([_EXTENSIONS])),
    ):
        if not expected:
            rest = rest[2 + rest[1] :]
        elif not rest.startswith(expected):
            raise FormatError(
                f"the {what} begins with {rest[:12].hex()}: expected {expected[:12].hex()}"
            )
        else:
            rest = rest[len(expected) :]


def _values(extensions: list[x509.Extension[x509.ExtensionType]]) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    for each in extensions:
        name, value = each.oid.dotted_string, each.value
        if isinstance(value, x509.UnrecognizedExtension) and name.startswith(_ARC):
            number = name.removeprefix(_ARC)
            if not each.critical or not number.isdecimal():
                raise FormatError(f"the extension {name} is not critical: expected it to be")
            values[int(number)] = value.value
        elif not isinstance(value, _STANDARD):
            raise FormatError(f"the extension {name} does not belong to a boot chain")
    return values
