# SPDX-License-Identifier: MIT
"""Certificates of devices' identity keys (LDevIDs), and the list of those that were revoked.

What a certificate says comes from the verifier's records, never from the device's request. The same
records give the same bytes to sign, so that signing can happen on another machine in between.

Spec: RFC 5280; IEEE 802.1AR-2018; RFC 4108 section 5 (hardwareModuleName); RFC 4043
(permanentIdentifier); TCG "TPM 2.0 Keys for Device Identity and Attestation" 1.00.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.keys import certificate, public
from bootseal.keys.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer

Authority: TypeAlias = x509.Certificate
"""The certificate of what certifies devices."""
EARLY: Final = 3600
"""Seconds that a certificate is valid before the key was proven: devices' clocks differ."""
REASONS: Final = {reason.value: reason for reason in x509.ReasonFlags}
"""Why a certificate is revoked, RFC 5280 section 5.3.1, by name."""
_NOT_OURS: Final = ("removeFromCRL", "certificateHold")

_VERIFIED_RESIDENCY: Final = x509.ObjectIdentifier("2.23.133.11.1.1")
_VERIFIED_FIXED: Final = x509.ObjectIdentifier("2.23.133.11.1.2")
_PERMANENT_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.3")
_MODULE_NAME: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4")
# OBJECT IDENTIFIERs with tag and length: TPM 2.0 is 2.23.133.1.2, an assigner 2.23.133.12.1.
_TPM_20: Final = bytes.fromhex("0605678105 0102")
_EK_FINGERPRINT: Final = bytes.fromhex("0605678105 0c01")
_SEQUENCE, _OCTETS, _UTF8 = 0x30, 0x04, 0x0C
_HASH: Final = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a certificate says.

    Attributes:
        name: Common name; a cloud's name of the thing.
        public_key: The identity key.
        serial: Serial number.
        chip: What names the TPM: manufacturer, key identifier of its issuer, serial number.
        ek_certificate: SHA-256 of the endorsement certificate, lower-case hex.
        proven: When the key was proven, seconds since 1970.
        days: Days that the certificate is valid from then on.
    """

    name: str
    public_key: PublicKey
    serial: int
    chip: str
    ek_certificate: str
    proven: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that was issued.

    Attributes:
        der: The certificate.
        pem: The same in PEM form.
        not_after: Until when it is valid, seconds since 1970.
    """

    der: bytes
    pem: bytes
    not_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """A certificate that is not valid any more.

    Attributes:
        serial: Its serial number.
        when: When it was revoked, seconds since 1970.
        reason: One of `REASONS`.
    """

    serial: int
    when: int
    reason: str


def authority(path: Path, now: int) -> Authority:
    """Read the certificate of what certifies devices.

    Raises:
        UsageError: There is no such file, it may not certify, or is not valid now.
        FormatError: It is not a certificate.
    """
    found = certificate.read(path)
    when = datetime.fromtimestamp(now, UTC)
    try:
        certifies = certificate.is_authority(found)
        authority_key(found)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise FormatError(f"{path} cannot be read: {public.first_line(error)}") from error
    if not certifies:
        raise UsageError(
            f"{path} may not certify other keys: expected the certificate of a device-ca",
            hint="bootseal keys list DIR",
        )
    if not found.not_valid_before_utc <= when <= found.not_valid_after_utc:
        raise UsageError(
            f"{path} is valid from {found.not_valid_before_utc:%Y-%m-%d} to "
            f"{found.not_valid_after_utc:%Y-%m-%d}: now is {when:%Y-%m-%d}"
        )
    return found


def authority_key(found: Authority) -> PublicKey:
    """Return the key that signs for an authority.

    Raises:
        FormatError: It is of a kind that is not supported.
    """
    return public.from_crypto(found.public_key())


def issue(subject: Subject, issuer: Authority, signer: Signer) -> Issued:
    """Certify an identity key.

    Raises:
        UsageError: The signer is not that of the authority, or the certificate would outlive it.
    """
    _check_signer(issuer, signer)
    start = datetime.fromtimestamp(subject.proven - EARLY, UTC)
    end = datetime.fromtimestamp(subject.proven, UTC) + timedelta(days=subject.days)
    if end > issuer.not_valid_after_utc:
        raise UsageError(
            f"the certificate of {subject.name} would be valid until {end:%Y-%m-%d}, its issuer "
            f"only until {issuer.not_valid_after_utc:%Y-%m-%d}",
            hint="lower --days",
        )
    made = certificate.sign(_builder(subject, issuer, start, end), signer, _algorithm(signer))
    return Issued(
        der=made.public_bytes(Encoding.DER),
        pem=made.public_bytes(Encoding.PEM),
        not_after=int(end.timestamp()),
    )


def pem(der: bytes) -> bytes:
    """Return a certificate of the registry in PEM form.

    Raises:
        FormatError: It is malformed.
    """
    with certificate.reading("the certificate in the registry is malformed"):
        return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def verify(issued: Issued, issuer: Authority) -> None:
    """Check that an authority issued a certificate.

    Raises:
        VerificationRefused: It did not.
    """
    made = x509.load_der_x509_certificate(issued.der)
    try:
        made.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise VerificationRefused(
            f"the certificate {made.serial_number:x} is not signed by the given authority"
        ) from error


def _builder(
    subject: Subject, issuer: Authority, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    key = subject.public_key.crypto
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, subject.name),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, subject.ek_certificate),
        ]
    )
    policies = [
        x509.PolicyInformation(policy, None) for policy in (_VERIFIED_RESIDENCY, _VERIFIED_FIXED)
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(subject.serial)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(certificate.usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.CertificatePolicies(policies), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(subject)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
    )


def _names(subject: Subject) -> list[x509.GeneralName]:
    der = certificate.der
    module = der(_SEQUENCE, _TPM_20 + der(_OCTETS, subject.chip.encode()))
    permanent = der(_SEQUENCE, der(_UTF8, subject.ek_certificate.encode()) + _EK_FINGERPRINT)
    return [
        x509.OtherName(_MODULE_NAME, module),
        x509.OtherName(_PERMANENT_IDENTIFIER, permanent),
    ]


def _authority_identifier(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    """Name the issuer's key as the issuer's own certificate does."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key(issuer).crypto)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def revocation_list(
    revoked: Sequence[Revoked], issuer: Authority, signer: Signer, now: int, days: int
) -> bytes:
    """Make the list of an authority's revoked certificates.

    Args:
        revoked: What was revoked; the number of the list is the time.
        issuer: The authority.
        signer: Its key.
        now: Seconds since 1970.
        days: Days until the next list is due.

    Returns:
        The list in PEM form.

    Raises:
        UsageError: The signer is not that of the authority.
    """
    _check_signer(issuer, signer)
    when = datetime.fromtimestamp(now, UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(when)
        .next_update(when + timedelta(days=days))
        .add_extension(x509.CRLNumber(now), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
    )
    for each in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(each.serial)
            .revocation_date(datetime.fromtimestamp(each.when, UTC))
            .add_extension(x509.CRLReason(REASONS[each.reason]), critical=False)
        )
        builder = builder.add_revoked_certificate(entry.build())
    made = certificate.sign_list(builder, signer, _algorithm(signer))
    return made.public_bytes(Encoding.PEM)


def verify_list(pem: bytes, issuer: Authority) -> None:
    """Check that an authority signed a list of revoked certificates.

    Raises:
        VerificationRefused: It did not.
    """
    if not x509.load_pem_x509_crl(pem).is_signature_valid(authority_key(issuer).crypto):
        raise VerificationRefused("the revocation list is not signed by the given authority")


def check_reason(reason: str) -> None:
    """Refuse what is not a reason to revoke a device's certificate for good.

    Raises:
        UsageError: It is none.
    """
    known = [name for name in REASONS if name not in _NOT_OURS]
    if reason not in known:
        raise UsageError(f"reason {reason!r}: expected one of {', '.join(known)}")


def _algorithm(signer: Signer) -> Algorithm:
    return Algorithm(hash_name=_HASH, kind=signer.public_key.kind)


def _check_signer(issuer: Authority, signer: Signer) -> None:
    """Refuse a key that is not that of the authority.

    Raises:
        UsageError: It is another one.
    """
    wanted, given = authority_key(issuer).fingerprint(), signer.public_key.fingerprint()
    if wanted != given:
        raise UsageError(
            f"the key that signs is {given}: the authority's certificate is for {wanted}",
            hint="name the key of --ca with --key",
        )
