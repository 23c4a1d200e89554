# SPDX-License-Identifier: MIT
"""X.509 certificates for the keys of a profile (RFC 5280).

The issuer is any signer, so that a root key may live in a token: `cryptography` builds the part
to be signed, and the signature is added to it here.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from bootseal.errors import FormatError, UsageError
from bootseal.files import read_bounded
from bootseal.formats.kinds.kind import CERTIFICATE
from bootseal.formats.kinds.recognise import checked
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm, KeyKind, Padding
from bootseal.keys.profile import Role
from bootseal.keys.public import HASHES, Curve
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    from bootseal.keys.profile import KeySpec
    from bootseal.keys.signers.base import Signer
    from bootseal.keys.signers.file import PrivateKey

SIGNS_CODE: Final = frozenset({Role.UPDATE, Role.APP, Role.MODULES})
"""Roles whose certificates are for code signing, and for that alone."""
_PUBLIC_EXPONENT: Final = 65537
_SEQUENCE: Final = 0x30
_BIT_STRING: Final = 0x03
_SHORT: Final = 0x80
_USES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)

UNREADABLE: Final = (
    *(ValueError, TypeError, UnsupportedAlgorithm, Warning),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What the library raises for malformed certificates; not all of it is a ValueError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedKey:
    """A private key and its certificate.

    Attributes:
        private: The private key.
        certificate: Its certificate.
        hash_name: The hash it certifies others with.
    """

    private: PrivateKey
    certificate: x509.Certificate
    hash_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """What certifies: a signer, its certificate, and the hash it signs with."""

    signer: Signer
    certificate: x509.Certificate
    hash_name: str


def issue(spec: KeySpec, issuer: Issuer | None) -> CertifiedKey:
    """Make a new key pair and certify it; self-signed if there is no issuer.

    Raises:
        UsageError: It would outlive its issuer's certificate.
    """
    private = make_private(spec.algorithm.kind)
    signer = FileSigner(private)
    return CertifiedKey(
        private=private,
        certificate=certify(spec, signer, issuer),
        hash_name=spec.algorithm.hash_name,
    )


def certify(spec: KeySpec, signer: Signer, issuer: Issuer | None) -> x509.Certificate:
    """Certify a key that exists; self-signed by `signer` if there is no issuer.

    Raises:
        UsageError: It would outlive its issuer's certificate, or the key is not what was declared.
    """
    public_key = signer.public_key
    if public_key.kind is not spec.algorithm.kind:
        raise UsageError(
            f"{spec.name} is declared as {spec.algorithm.name}: the key is {public_key.kind}"
        )
    start = datetime.now(UTC).replace(microsecond=0)
    end = _end(spec, issuer, start)
    subject = x509.Name.from_rfc4514_string(spec.subject)
    certifier = issuer.signer if issuer else signer
    subject_key, certifier_key = public_key.crypto, certifier.public_key.crypto
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(subject_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=spec.authority, path_length=None), critical=True)
        .add_extension(_usage(spec), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(certifier_key), critical=False
        )
    )
    if spec.role in SIGNS_CODE:
        code = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        builder = builder.add_extension(code, critical=True)
    hash_name = issuer.hash_name if issuer else spec.algorithm.hash_name
    return sign(builder, certifier, Algorithm(hash_name=hash_name, kind=certifier.public_key.kind))


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Refuse malformed certificates, and those that the library reads and only warns of.

    Args:
        what: What is wrong then, for the message.

    Raises:
        FormatError: A certificate that is read in the context is one of them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except UNREADABLE as error:
        raise FormatError(f"{what}: {public.first_line(error)}") from error


def read(path: Path) -> x509.Certificate:
    """Read a certificate in PEM form.

    Raises:
        UsageError: There is no such file.
        FormatError: It is not a certificate.
    """
    try:
        data = checked(read_bounded(path), CERTIFICATE, str(path))
    except FileNotFoundError:
        raise UsageError(f"there is no certificate at {path}") from None
    return _parse(data, str(path))


def parse(data: bytes, what: str) -> x509.Certificate:
    """Read the one certificate in a file's content, in PEM form.

    Args:
        data: The content.
        what: What it is of, for messages.

    Raises:
        FormatError: It is not a certificate, or something else is there in PEM form as well.
    """
    if count := data.count(b"-----BEGIN ") - 1:
        parts = "nothing" if count < 0 else f"{count + 1} parts"
        raise FormatError(f"{what} has {parts} in PEM form: expected one certificate")
    return _parse(data, what)


def key_of(certificate: x509.Certificate) -> public.PublicKey:
    """Return the key that a certificate is for.

    Raises:
        FormatError: It is of a kind that nothing here signs with.
    """
    return public.from_crypto(certificate.public_key())


def _parse(data: bytes, what: str) -> x509.Certificate:
    with reading(f"{what} is not a certificate in PEM form"):
        found = x509.load_pem_x509_certificate(data)
        # The library reads these when they are asked for.
        list(found.extensions)
        found.public_key()
        return found


def common_names(der: bytes, what: str) -> tuple[str, ...]:
    """Return the common names that a certificate in DER form gives its owner.

    Args:
        der: The certificate.
        what: What it is, for messages.

    Raises:
        FormatError: It is malformed.
    """
    with reading(what):
        subject = x509.load_der_x509_certificate(der).subject
        found = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return tuple(str(each.value) for each in found)


def is_authority(certificate: x509.Certificate) -> bool:
    """Say whether a certificate allows its key to certify others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def identifier(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """Return what names a certificate in CMS: its issuer in DER, its serial as DER's content."""
    number = certificate.serial_number
    return certificate.issuer.public_bytes(), number.to_bytes(number.bit_length() // 8 + 1)


def _end(spec: KeySpec, issuer: Issuer | None, start: datetime) -> datetime:
    end = start + timedelta(days=spec.valid_days)
    if issuer is None:
        return end
    # Certificates of one run start seconds apart; only a real overrun is refused.
    limit = issuer.certificate.not_valid_after_utc
    if end - limit > timedelta(days=1):
        raise UsageError(
            f"{spec.name} would be valid until {end:%Y-%m-%d}, its issuer only until "
            f"{limit:%Y-%m-%d}",
            hint=f"lower valid_days of [keys.{spec.role}]",
        )
    return min(end, limit)


def sign(
    builder: x509.CertificateBuilder, signer: Signer, algorithm: Algorithm
) -> x509.Certificate:
    """Let any signer sign where the library requires one of its own private key objects.

    PSS is declared with a salt as long as the digest, which is what signers use.

    Raises:
        UsageError: The key does not fit the algorithm.
    """
    template = builder.sign(*_stand_in(algorithm), rsa_padding=_pss(algorithm))
    whole = _replaced(template, template.tbs_certificate_bytes, signer, algorithm)
    return x509.load_der_x509_certificate(whole)


def sign_list(
    builder: x509.CertificateRevocationListBuilder, signer: Signer, algorithm: Algorithm
) -> x509.CertificateRevocationList:
    """Let any signer sign a revocation list, as `sign` does a certificate.

    Raises:
        UsageError: The key does not fit the algorithm.
    """
    template = builder.sign(*_stand_in(algorithm), rsa_padding=_pss(algorithm))
    whole = _replaced(template, template.tbs_certlist_bytes, signer, algorithm)
    return x509.load_der_x509_crl(whole)


def _replaced(
    template: x509.Certificate | x509.CertificateRevocationList,
    signed: bytes,
    signer: Signer,
    algorithm: Algorithm,
) -> bytes:
    """Replace a stand-in's signature by a signer's."""
    signature = signer.sign_digest(algorithm.digest([signed]), algorithm)
    if not algorithm.kind.is_rsa:
        signature = public.raw_to_der(signature)
    # SEQUENCE { what is signed, signatureAlgorithm, signature BIT STRING }
    template_bytes = template.public_bytes(Encoding.DER)
    after = template_bytes.index(signed) + len(signed)
    old_signature = der(_BIT_STRING, b"\0" + template.signature)
    identifier = template_bytes[after : -len(old_signature)]
    return der(_SEQUENCE, signed + identifier + der(_BIT_STRING, b"\0" + signature))


def _stand_in(algorithm: Algorithm) -> tuple[PrivateKey, SHA256 | SHA384 | SHA512]:
    return _placeholder(is_rsa=algorithm.kind.is_rsa), HASHES[algorithm.hash_name]


def _pss(algorithm: Algorithm) -> padding.PSS | None:
    if algorithm.padding is not Padding.PSS:
        return None
    hashed = HASHES[algorithm.hash_name]
    return padding.PSS(mgf=padding.MGF1(hashed), salt_length=hashed.digest_size)


@cache
def _placeholder(*, is_rsa: bool) -> PrivateKey:
    return make_private(KeyKind.RSA2048 if is_rsa else KeyKind.ECDSA256)


def der(tag: int, content: bytes) -> bytes:
    """Encode a value of one tag byte, ITU-T X.690 section 10.1.

    >>> der(0x04, b"a").hex()
    '040161'
    """
    size = len(content)
    if size < _SHORT:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, _SHORT | len(length)]) + length + content


def make_private(kind: KeyKind) -> PrivateKey:
    """Make a private key."""
    match kind:
        case KeyKind.ECDSA256:
            return ec.generate_private_key(Curve.P256.crypto)
        case KeyKind.ECDSA384:
            return ec.generate_private_key(Curve.P384.crypto)
        case KeyKind.RSA2048 | KeyKind.RSA3072 | KeyKind.RSA4096:
            return rsa.generate_private_key(_PUBLIC_EXPONENT, kind.bits)


def usage(*uses: str) -> x509.KeyUsage:
    """Return the extension that allows a key these uses only, RFC 5280 section 4.2.1.3."""
    return x509.KeyUsage(**{use: use in uses for use in _USES})


def _usage(spec: KeySpec) -> x509.KeyUsage:
    """Say what a key is for: certify, unwrap what devices send, or sign."""
    uses = ["key_cert_sign", "crl_sign"] if spec.authority else []
    if spec.role is Role.ESCROW:
        uses.append("key_encipherment")
    return usage(*(uses or ["digital_signature"]))
