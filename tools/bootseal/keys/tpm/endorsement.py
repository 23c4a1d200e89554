# SPDX-License-Identifier: MIT
"""Endorsement certificates: what a TPM's maker says about the key that every TPM is born with.

Spec: RFC 5280; TCG EK Credential Profile 2.5, section 3.2. Revocation is not checked: few makers
publish lists, and a verifier at a production line may have no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from bootseal.errors import FormatError, VerificationRefused
from bootseal.keys import public
from bootseal.keys.certificate import is_authority
from bootseal.keys.public import PublicKey, first_line

if TYPE_CHECKING:
    from datetime import datetime


Authority: TypeAlias = x509.Certificate

_EK_USAGE: Final = x509.ObjectIdentifier("2.23.133.8.1")
_MAX_DEPTH: Final = 5
_WEAK: Final = (hashes.MD5, hashes.SHA1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """A verified endorsement certificate.

    Attributes:
        public_key: The endorsement key.
        fingerprint: SHA-256 of the certificate, lower-case hex.
        issuer: Who issued it.
        anchor: Subject of the given authority that it leads to.
    """

    public_key: PublicKey
    fingerprint: str
    issuer: str
    anchor: str


def authorities(pem: bytes, where: str) -> list[Authority]:
    """Read the certificates of TPM makers' authorities, PEM, one or more.

    Raises:
        FormatError: There is none, or one may not certify.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise FormatError(
            f"{where} does not hold certificates in PEM form ({first_line(error)})"
        ) from error
    for certificate in found:
        if not is_authority(certificate):
            raise FormatError(f"{where}: {_subject(certificate)} may not certify other keys")
    return found


def check(der: bytes, trusted: Sequence[Authority], when: datetime) -> Endorsement:
    """Check an endorsement certificate.

    Args:
        der: The certificate, DER, as it is in the TPM.
        trusted: Certificates of authorities, intermediate ones too; every path must end in one
            of them that signed itself.
        when: The time of the check, with time zone.

    Raises:
        FormatError: It is not a certificate of a supported key.
        VerificationRefused: It leads to none of the authorities, is not valid at that time, or
            is not for an endorsement key.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FormatError(
            f"the endorsement certificate of {len(der)} bytes cannot be read ({first_line(error)})"
        ) from error
    if is_authority(certificate):
        raise VerificationRefused("the endorsement certificate is one of an authority")
    usages = _extended_usages(certificate)
    if _EK_USAGE not in usages:
        named = ", ".join(usage.dotted_string for usage in usages) or "none"
        raise VerificationRefused(
            f"the certificate's extended key usage is {named}: an endorsement key has "
            f"{_EK_USAGE.dotted_string}"
        )
    anchor = _anchor(certificate, trusted, when)
    return Endorsement(
        public_key=public.from_crypto(key),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        issuer=certificate.issuer.rfc4514_string(),
        anchor=_subject(anchor),
    )


def _anchor(
    certificate: x509.Certificate, trusted: Sequence[Authority], when: datetime
) -> Authority:
    """Follow the issuers up to an authority that signed itself."""
    current = certificate
    for depth in range(_MAX_DEPTH):
        if not current.not_valid_before_utc <= when <= current.not_valid_after_utc:
            raise VerificationRefused(
                f"the certificate of {_subject(current)} is valid from "
                f"{current.not_valid_before_utc:%Y-%m-%d} to "
                f"{current.not_valid_after_utc:%Y-%m-%d}: now is {when:%Y-%m-%d}"
            )
        if depth and current.subject == current.issuer:
            return current
        issuer = next((one for one in trusted if _issued(current, one)), None)
        if issuer is None:
            raise VerificationRefused(
                f"the certificate of {_subject(current)} was issued by "
                f"{current.issuer.rfc4514_string()}, which is none of the given authorities"
            )
        current = issuer
    raise VerificationRefused(f"the path to an authority has more than {_MAX_DEPTH} certificates")


def _issued(certificate: x509.Certificate, issuer: Authority) -> bool:
    if isinstance(certificate.signature_hash_algorithm, _WEAK) or not _may_certify(issuer):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _may_certify(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.key_cert_sign


def _extended_usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return []


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "an unnamed subject"
