# SPDX-License-Identifier: MIT
"""Signatures of bundles, applications and modules: CMS SignedData by any signer, and who signed.

The library's own builder takes the time from a clock and insists on a private key of its own, so
that neither signing in two steps nor the same bytes twice would be possible: the few values around
the signature are put together here.

Spec: RFC 5652 (CMS); RFC 5280 sections 4.2.1.3 and 4.2.1.12 (key usage).
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from bootseal.errors import BootsealError, FormatError, UsageError
from bootseal.findings.catalogue import finding
from bootseal.formats.update import cms
from bootseal.formats.update.der import INTEGER, OCTETS, OID, SEQUENCE, SET
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.certificate import UNREADABLE, der, identifier, is_authority, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.findings.model import Finding
    from bootseal.formats.update.cms import SignedData
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer

Certificate: TypeAlias = x509.Certificate
"""A certificate, of a signer or of the authority for updates."""
WHERE: Final = "signature"
_HASH: Final = "sha256"
_UTC_TIME, _TIME, _NULL = 0x17, 0x18, bytes.fromhex("0500")
_HASH_OIDS: Final = {name: oid for oid, name in cms.HASHES.items()}
_ECDSA_OIDS: Final = {name: oid for oid, name in cms.ECDSA_WITH.items()}
_UTC_ENDS: Final = 2050
_KNOWN: Final = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)


def sign(content: bytes, certificate: x509.Certificate, signer: Signer, when: int) -> bytes:
    """Make a message that holds what it signs.

    Args:
        content: What is signed.
        certificate: Of the signer; it becomes part of the message.
        signer: The key.
        when: What the message says of its time, seconds since 1970. The same arguments make the
            same bytes, as far as the key's signatures are the same.

    Raises:
        UsageError: The certificate is for another key, or the signer has no such signature.
    """
    algorithm = Algorithm(hash_name=_HASH, kind=_key_of(certificate, signer).kind)
    attributes = _attributes(algorithm.digest([content]), when)
    signature = _signed(der(SET, attributes), signer, algorithm)
    inside = der(cms.EXPLICIT, der(OCTETS, content))
    return _message(certificate, inside, der(cms.EXPLICIT, attributes), signature)


def sign_detached(
    content: bytes, certificate: x509.Certificate, signer: Signer, *, bare: bool = False
) -> bytes:
    """Make a message that does not hold what it signs, and has no signed attributes.

    It is what systemd and the kernel take for a root hash, and the kernel for a module:
    PKCS7_DETACHED and PKCS7_NOATTR in OpenSSL's words.

    Args:
        content: What is signed.
        certificate: Of the signer.
        signer: The key.
        bare: The message only names the certificate, as `sign-file` writes it (PKCS7_NOCERTS); else
            it holds it.

    Raises:
        UsageError: The certificate is for another key, or the signer has no such signature.
    """
    algorithm = Algorithm(hash_name=_HASH, kind=_key_of(certificate, signer).kind)
    signature = _signed(content, signer, algorithm)
    return _message(certificate, b"", b"", signature, bare=bare)


def _key_of(certificate: x509.Certificate, signer: Signer) -> PublicKey:
    named = public.from_crypto(certificate.public_key())
    if named != signer.public_key:
        raise UsageError(
            f"the certificate is for key {named.fingerprint()}: the signing key is "
            f"{signer.public_key.fingerprint()}",
            hint="give the certificate of the key: --certificate",
        )
    return named


def _signed(content: bytes, signer: Signer, algorithm: Algorithm) -> bytes:
    signature = signer.sign_digest(algorithm.digest([content]), algorithm)
    return signature if algorithm.kind.is_rsa else public.raw_to_der(signature)


def _message(
    certificate: x509.Certificate,
    content: bytes,
    attributes: bytes,
    signature: bytes,
    *,
    bare: bool = False,
) -> bytes:
    """Put a message together; content and attributes are in DER, or empty where there are none."""
    is_rsa = public.from_crypto(certificate.public_key()).kind.is_rsa
    hashed = der(SEQUENCE, der(OID, _HASH_OIDS[_HASH]))
    kind = der(OID, cms.RSA) + _NULL if is_rsa else der(OID, _ECDSA_OIDS[_HASH])
    issuer, serial = identifier(certificate)
    version = der(INTEGER, b"\1")
    info = (
        version
        + der(SEQUENCE, issuer + der(INTEGER, serial))
        + hashed
        + attributes
        + der(SEQUENCE, kind)
        + der(OCTETS, signature)
    )
    signed = (
        version
        + der(SET, hashed)
        + der(SEQUENCE, der(OID, cms.DATA) + content)
        + (b"" if bare else der(cms.EXPLICIT, certificate.public_bytes(Encoding.DER)))
        + der(SET, der(SEQUENCE, info))
    )
    return der(SEQUENCE, der(OID, cms.SIGNED_DATA) + der(cms.EXPLICIT, der(SEQUENCE, signed)))


def _attributes(digest: bytes, when: int) -> bytes:
    """Return content type, digest and time in the order of a DER set, RFC 5652 section 11."""
    moment = datetime.fromtimestamp(when, UTC)
    short = moment.year < _UTC_ENDS
    text = moment.strftime("%y%m%d%H%M%SZ" if short else "%Y%m%d%H%M%SZ").encode()
    values = (
        (cms.CONTENT_TYPE, der(OID, cms.DATA)),
        (cms.SIGNING_TIME, der(_UTC_TIME if short else _TIME, text)),
        (cms.MESSAGE_DIGEST, der(OCTETS, digest)),
    )
    return b"".join(sorted(der(SEQUENCE, der(OID, kind) + der(SET, v)) for kind, v in values))


def signer_of(signed: SignedData) -> x509.Certificate:
    """Return the certificate of the signer, which the message has to hold.

    Raises:
        FormatError: It holds none, or one that cannot be read.
    """
    for each in signed.certificates:
        with reading("a certificate in the signature cannot be read"):
            found = x509.load_der_x509_certificate(each)
        if identifier(found) == (signed.issuer, signed.serial):
            return found
    raise FormatError("the signature does not contain its signer's certificate")


def check(signed: SignedData, authority: x509.Certificate) -> list[Finding]:
    """Return what is wrong with a signature, held against the one authority for updates.

    Args:
        signed: The message.
        authority: The authority's certificate; nothing else is trusted, and no authority in
            between.
    """
    try:
        certificate = signer_of(signed)
        return [
            *check_signer(certificate, authority, signed.signing_time),
            *_signature(signed, public.from_crypto(certificate.public_key())),
        ]
    except (FormatError, *UNREADABLE) as error:
        text = error.message if isinstance(error, BootsealError) else public.first_line(error)
        return [finding("update.signature", WHERE, text)]


def check_signer(
    certificate: x509.Certificate, authority: x509.Certificate, when: int | None
) -> list[Finding]:
    """Return why a certificate is not one to sign updates with at a time.

    Args:
        certificate: Of the signer.
        authority: The authority's certificate.
        when: Seconds since 1970; None where the signature does not say.
    """
    return [
        *_issued(certificate, authority),
        *_purpose(certificate),
        *_validity(when, certificate, authority),
    ]


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> Iterator[Finding]:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, *UNREADABLE):
        observed = certificate.issuer.rfc4514_string()
        expected = authority.subject.rfc4514_string()
        yield finding(
            "update.issuer",
            WHERE,
            f"its signer {certificate.subject.rfc4514_string()} was certified by {observed}: "
            f"expected the update CA, {expected}, with its key",
            expected=expected,
            observed=observed,
        )


def _purpose(certificate: x509.Certificate) -> Iterator[Finding]:
    problem = purpose_problem(certificate)
    if problem:
        yield finding("update.purpose", WHERE, f"the certificate of its signer {problem}")


def purpose_problem(certificate: x509.Certificate) -> str:
    """Say why a certificate is not one to sign code with; empty if it is one.

    It is what RAUC asks for with `check-purpose=codesign`.
    """
    extensions = certificate.extensions
    unknown = [
        e.oid.dotted_string for e in extensions if e.critical and not isinstance(e.value, _KNOWN)
    ]
    if unknown:
        return f"has the critical extension {unknown[0]}, which devices do not know"
    if is_authority(certificate):
        return "is that of a CA"
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        uses = {*extensions.get_extension_for_class(x509.ExtendedKeyUsage).value}
    except x509.ExtensionNotFound as error:
        return f"lacks the extension {error.oid.dotted_string}: expected code signing"
    named = ", ".join(sorted(each.dotted_string for each in uses))
    if uses != {ExtendedKeyUsageOID.CODE_SIGNING}:
        return f"is for {named}: expected only {ExtendedKeyUsageOID.CODE_SIGNING.dotted_string}"
    return "" if usage.digital_signature else "is not for digital signatures"


def _signature(signed: SignedData, key: PublicKey) -> Iterator[Finding]:
    if signed.content is None or signed.content_type != cms.DATA:
        yield finding("update.signature", WHERE, "it does not contain the signed content")
        return
    if hashlib.new(signed.hash_name, signed.content).digest() != signed.message_digest:
        yield finding("update.signature", WHERE, "its digest is not that of the manifest in it")
        return
    try:
        _verify(signed, signed.attributes, key)
    except BootsealError as error:
        yield finding("update.signature", WHERE, error.message)


def _verify(signed: SignedData, content: bytes, key: PublicKey) -> None:
    """Check the signature over attributes or content.

    Raises:
        FormatError: It is not one of such a key.
        VerificationRefused: It is not by this key over this.
    """
    if key.kind.is_rsa is not signed.is_rsa:
        raise FormatError(f"its algorithm does not belong to a key of kind {key.kind}")
    algorithm = Algorithm(hash_name=signed.hash_name, kind=key.kind)
    value = signed.signature
    if not signed.is_rsa:
        value = public.der_to_raw(value, algorithm)
    public.verify_digest(key, algorithm.digest([content]), value, algorithm)


def check_detached(message: bytes, content: bytes, pinned: x509.Certificate) -> list[Finding]:
    """Return what is wrong with the signature of an application, held against one certificate.

    As for systemd, that certificate is pinned: no chain leads to it, and its dates are ignored.

    Args:
        message: The signature.
        content: What it is over.
        pinned: The certificate whose key has to have signed it.
    """
    try:
        signed = cms.parse(message, attributes=False)
        if signed is None or signed.content is not None:
            raise FormatError("it is not a detached signature")
        if (signed.issuer, signed.serial) != identifier(pinned):
            return [_other_signer(signed, pinned, "app.certificate", WHERE)]
        if signed.certificates != (pinned.public_bytes(Encoding.DER),):
            raise FormatError("it contains certificates other than its signer's")
        _verify(signed, content, public.from_crypto(pinned.public_key()))
    except (BootsealError, *UNREADABLE) as error:
        text = error.message if isinstance(error, BootsealError) else public.first_line(error)
        return [finding("app.signature", WHERE, text)]
    return check_purpose(pinned)


def check_module(
    message: bytes, content: bytes, pinned: x509.Certificate, where: str
) -> list[Finding]:
    """Return what is wrong with the signature of a kernel module, held against one certificate.

    As for the kernel, that certificate is pinned: no chain leads to it, and its dates are ignored.

    Args:
        message: The signature, as `sign-file` writes it: RSA, without a certificate.
        content: The module without it.
        pinned: The certificate whose key has to have signed it.
        where: The module, for findings.
    """
    try:
        signed = cms.parse(message, attributes=False)
        if signed is None or signed.content is not None:
            raise FormatError("it is not a detached signature")
        if (signed.issuer, signed.serial) != identifier(pinned):
            return [_other_signer(signed, pinned, "module.certificate", where)]
        if signed.certificates:
            raise FormatError("it contains certificates: expected none")
        _verify(signed, content, public.from_crypto(pinned.public_key()))
    except (BootsealError, *UNREADABLE) as error:
        text = error.message if isinstance(error, BootsealError) else public.first_line(error)
        return [finding("module.signature", where, text)]
    return []


def signer_of_detached(message: bytes, content: bytes) -> PublicKey:
    """Return the key of the certificate in a detached signature, which is by that key.

    Args:
        message: The signature.
        content: What it is over.

    Raises:
        FormatError: It is malformed, or does not hold its signer's certificate.
        VerificationRefused: It is not by that key over this content.
    """
    signed = cms.parse(message, attributes=False)
    if signed is None:
        raise FormatError("it is not a detached signature")
    with reading("the certificate in the signature cannot be read"):
        key = public.from_crypto(signer_of(signed).public_key())
    _verify(signed, content, key)
    return key


def check_purpose(certificate: x509.Certificate) -> list[Finding]:
    """Return why a certificate is not one to sign applications with."""
    problem = purpose_problem(certificate)
    return [finding("app.purpose", WHERE, f"the certificate {problem}")] if problem else []


def _other_signer(
    signed: SignedData, pinned: x509.Certificate, identifier_: str, where: str
) -> Finding:
    expected = f"{pinned.subject.rfc4514_string()}, number {pinned.serial_number:x}"
    observed = f"number {signed.serial.hex()}"
    with suppress(FormatError):
        subject = signer_of(signed).subject.rfc4514_string()
        observed = f"{subject}, {observed}"
    return finding(
        identifier_,
        where,
        f"it was signed with the certificate of {observed}: expected that of {expected}",
        expected=expected,
        observed=observed,
    )


def digest(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate in DER, lower-case hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _validity(
    when: int | None, certificate: x509.Certificate, authority: x509.Certificate
) -> Iterator[Finding]:
    if when is None:
        yield finding("update.validity", WHERE, "it has no signing time")
        return
    moment = datetime.fromtimestamp(when, UTC)
    for each in (certificate, authority):
        if not each.not_valid_before_utc <= moment <= each.not_valid_after_utc:
            yield finding(
                "update.validity",
                WHERE,
                f"it was made on {moment:%Y-%m-%d %H:%M} UTC: the certificate of "
                f"{each.subject.rfc4514_string()} is valid from "
                f"{each.not_valid_before_utc:%Y-%m-%d %H:%M} to "
                f"{each.not_valid_after_utc:%Y-%m-%d %H:%M}",
            )
