# SPDX-License-Identifier: MIT
"""X.509 certificates for the keys of a profile (RFC 5280)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bootseal.errors import FormatError, UsageError
from bootseal.keys.algorithms import Kind
from bootseal.keys.public import HASHES, Curve

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.profile import KeySpec
    from bootseal.keys.signer import PrivateKey

_PUBLIC_EXPONENT: Final = 65537


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


def issue(spec: KeySpec, issuer: CertifiedKey | None) -> CertifiedKey:
    """Make a new key pair and certify it, by itself when there is no issuer.

    Raises:
        UsageError: It would outlive its issuer's certificate.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    not_after = now + timedelta(days=spec.valid_days)
    if issuer:
        # Certificates of one run start seconds apart; only a real overrun is refused.
        limit = issuer.certificate.not_valid_after_utc
        if not_after - limit > timedelta(days=1):
            raise UsageError(
                f"{spec.name} would be valid until {not_after:%Y-%m-%d}, its issuer only until "
                f"{limit:%Y-%m-%d}",
                hint=f"lower valid_days of [keys.{spec.role}]",
            )
        not_after = min(not_after, limit)
    private = _make_private(spec.algorithm)
    certifier = issuer.private if issuer else private
    subject = x509.Name.from_rfc4514_string(spec.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=spec.authority, path_length=None), critical=True)
        .add_extension(_usage(authority=spec.authority), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(certifier.public_key()),
            critical=False,
        )
    )
    hash_name = issuer.hash_name if issuer else spec.algorithm.hash_name
    return CertifiedKey(
        private=private,
        certificate=builder.sign(certifier, HASHES[hash_name]),
        hash_name=spec.algorithm.hash_name,
    )


def read(path: Path) -> x509.Certificate:
    """Read a certificate in PEM form.

    Raises:
        UsageError: There is no such file.
        FormatError: It is no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"there is no certificate at {path}") from None
    except ValueError as error:
        raise FormatError(f"{path} is not a certificate in PEM form") from error


def is_authority(certificate: x509.Certificate) -> bool:
    """Say whether a certificate allows its key to certify others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _make_private(algorithm: Algorithm) -> PrivateKey:
    match algorithm.kind:
        case Kind.ECDSA256:
            return ec.generate_private_key(Curve.P256.crypto)
        case Kind.ECDSA384:
            return ec.generate_private_key(Curve.P384.crypto)
        case Kind.RSA2048 | Kind.RSA3072 | Kind.RSA4096:
            return rsa.generate_private_key(_PUBLIC_EXPONENT, algorithm.bits)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
