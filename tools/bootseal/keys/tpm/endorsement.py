# SPDX-License-Identifier: MIT
"""Endorsement certificates: what a TPM's maker says about the key that every TPM is born with.

Spec: RFC 5280; TCG EK Credential Profile 2.5, section 3.2. Revocation is not checked: few makers
publish lists, and a verifier at a production line may have no network. What a path asks for and
is not checked here, such as name constraints, is refused. cryptography's own verifier is made for
web servers: it wants names and extensions that authorities of TPM makers do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootseal.errors import FormatError, VerificationRefused
from bootseal.keys import public, weakness
from bootseal.keys.certificate import UNREADABLE, is_authority
from bootseal.keys.public import PublicKey, first_line

if TYPE_CHECKING:
    from datetime import datetime


Authority: TypeAlias = x509.Certificate

_EK_USAGE: Final = x509.ObjectIdentifier("2.23.133.8.1")
_MANUFACTURER: Final = x509.ObjectIdentifier("2.23.133.2.1")
_MAX_DEPTH: Final = 5
_WEAK: Final = (hashes.MD5, hashes.SHA1)
_ANY_USAGE: Final = x509.ObjectIdentifier("2.5.29.37.0")
# What is checked, or says nothing that a path depends on; others may not be critical.
_UNDERSTOOD: Final = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
    x509.CertificatePolicies,
)
_REFUSED: Final = (x509.NameConstraints, x509.PolicyConstraints, x509.InhibitAnyPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """A verified endorsement certificate.

    Attributes:
        public_key: The endorsement key.
        fingerprint: SHA-256 of the certificate, lower-case hex.
        issuer: Who issued it.
        anchor: Subject of the given authority that it leads to.
        chip: What names the chip: its manufacturer, the key identifier of who issued the
            certificate, and its serial number, with colons between them.
    """

    public_key: PublicKey
    fingerprint: str
    issuer: str
    anchor: str
    chip: str


def authorities(pem: bytes, where: str) -> list[Authority]:
    """Read the certificates of TPM makers' authorities, PEM, one or more.

    Raises:
        FormatError: There is none, or one may not certify.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except UNREADABLE as error:
        raise FormatError(
            f"{where} does not hold certificates in PEM form ({first_line(error)})"
        ) from error
    for certificate in found:
        try:
            authority = is_authority(certificate)
        except UNREADABLE as error:
            raise FormatError(
                f"{where}: {_subject(certificate)} has extensions that cannot be read"
                f" ({first_line(error)})"
            ) from error
        if not authority:
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
        VerificationRefused: It leads to none of the authorities, is not valid at that time, is
            not for an endorsement key, or a certificate of the path is weak, sets a limit that
            the path breaks, or one that is not understood.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        list(certificate.extensions)
    except UNREADABLE as error:
        raise FormatError(
            f"the endorsement certificate of {len(der)} bytes cannot be read ({first_line(error)})"
        ) from error
    if is_authority(certificate):
        raise VerificationRefused("the endorsement certificate is a CA's")
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
        chip=_chip(certificate),
    )


def _chip(certificate: x509.Certificate) -> str:
    """Name a chip as TCG's "TPM 2.0 Keys for Device Identity and Attestation" has it, 8.1."""
    manufacturer = identifier = ""
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.AuthorityKeyIdentifier) and value.key_identifier:
            identifier = value.key_identifier.hex()
        if isinstance(value, x509.SubjectAlternativeName):
            names = [a for name in value.get_values_for_type(x509.DirectoryName) for a in name]
            manufacturer = next((str(a.value) for a in names if a.oid == _MANUFACTURER), "")
    return f"{manufacturer}:{identifier}:{certificate.serial_number:x}"


def _anchor(
    certificate: x509.Certificate, trusted: Sequence[Authority], when: datetime
) -> Authority:
    """Follow the issuers up to an authority that signed itself."""
    current = certificate
    # Authorities below the current one, those that issued to themselves left out (RFC 5280, 6.1.4).
    below = 0
    for depth in range(_MAX_DEPTH):
        _check_validity(current, when)
        _check_strength(current)
        _check_extensions(current)
        if depth:
            _check_path_length(current, below)
            if current.subject == current.issuer:
                return current
            below += 1
        issuer = next((one for one in trusted if _issued(current, one)), None)
        if issuer is None:
            raise VerificationRefused(
                f"the certificate of {_subject(current)} was issued by "
                f"{current.issuer.rfc4514_string()}, which is not one of the given CAs"
            )
        current = issuer
    raise VerificationRefused(f"the path to a CA has more than {_MAX_DEPTH} certificates")


def _check_validity(certificate: x509.Certificate, when: datetime) -> None:
    if not certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc:
        raise VerificationRefused(
            f"the certificate of {_subject(certificate)} is valid from "
            f"{certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}: now is {when:%Y-%m-%d}"
        )


def _check_strength(certificate: x509.Certificate) -> None:
    """Refuse a key that others could have: RSA or ECDSA, and not weak by any check there is."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        weak = weakness.inspect(spki)
    else:
        weak = [f"the kind {type(key).__name__}: expected RSA or ECDSA"]
    if weak:
        raise VerificationRefused(f"the key of {_subject(certificate)} has {'; '.join(weak)}")


def _check_extensions(certificate: x509.Certificate) -> None:
    """Refuse what would limit the path and is not checked here."""
    for extension in certificate.extensions:
        value = extension.value
        unknown = extension.critical and not isinstance(value, _UNDERSTOOD)
        if unknown or isinstance(value, _REFUSED):
            name = type(value).__name__
            if isinstance(value, x509.UnrecognizedExtension):
                name = "unknown"
            critical = "critical " if extension.critical else ""
            raise VerificationRefused(
                f"the certificate of {_subject(certificate)} has the {critical}extension "
                f"{extension.oid.dotted_string} ({name}), which is not supported"
            )
    usages = _extended_usages(certificate)
    if usages and not {_EK_USAGE, _ANY_USAGE} & set(usages):
        raise VerificationRefused(
            f"the certificate of {_subject(certificate)} is limited to "
            f"{', '.join(usage.dotted_string for usage in usages)}: an endorsement key needs "
            f"{_EK_USAGE.dotted_string}"
        )


def _check_path_length(authority: Authority, below: int) -> None:
    limit = authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if limit is not None and below > limit:
        raise VerificationRefused(
            f"the certificate of {_subject(authority)} allows {limit} CAs below it: the path has "
            f"{below}"
        )


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
