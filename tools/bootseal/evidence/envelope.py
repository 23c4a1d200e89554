# SPDX-License-Identifier: MIT
"""Envelopes of signed statements (DSSE), in the one form that is written and read here.

DSSE lets others change an envelope that verifies: add members and signatures, spell the base64 in
another way, or replace the s of an ECDSA signature by n - s. Here a file is what is written from
its own parts, to the byte, or it is refused.

Spec: Dead Simple Signing Envelope v1.0.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm, KeyKind
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_SIZE: Final = 8 * MIB
"""Bytes that an envelope may have."""

# Order of the base point of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3).
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_FIELD: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A statement and its signature.

    Attributes:
        payload: The statement.
        keyid: SHA-256 of the signer's SubjectPublicKeyInfo, lower-case hex; a hint until the
            signature was verified.
        signature: RSA: PKCS#1 v1.5, big-endian. ECDSA: X9.62 DER, with the lower s.
    """

    payload: bytes
    keyid: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signature:
    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    payload: bytes
    payloadType: str
    signatures: tuple[_Signature, ...]


def pae(payload: bytes) -> bytes:
    r"""Return the bytes that are signed, DSSE's pre-authentication encoding.

    >>> pae(b"{}")
    b'DSSEv1 28 application/vnd.in-toto+json 2 {}'
    """
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def algorithm(key: PublicKey) -> Algorithm:
    """Return how a key signs envelopes: RSA PKCS#1 v1.5 or P-256, with SHA-256.

    Raises:
        UsageError: It is on P-384, which other verifiers of attestations do not take.
    """
    if key.kind is KeyKind.ECDSA384:
        raise UsageError(
            f"the key is {key.kind}: verifiers of attestations take RSA and P-256 alone",
            hint="bootseal keys generate DIR --only attestation",
        )
    return Algorithm.parse(f"sha256,{key.kind}")


def request(payload: bytes, signer: Signer) -> bytes:
    """Have a signer sign a payload.

    Returns:
        The signature, as `Signer.sign_digest` returns it.

    Raises:
        UsageError: The key is not one for envelopes.
        ToolError: A token or service failed.
    """
    return signer.sign_digest(_digest(payload), algorithm(signer.public_key))


def sign(payload: bytes, signer: Signer) -> bytes:
    """Return the envelope of a payload; it was read and verified again.

    Raises:
        UsageError: The key is not one for envelopes.
        ToolError: A token or service failed.
        VerificationRefused: What was made does not verify.
    """
    signature = request(payload, signer)
    key = signer.public_key
    if not key.kind.is_rsa:
        r, s = (int.from_bytes(half) for half in (signature[:_FIELD], signature[_FIELD:]))
        low = min(s, _P256_ORDER - s)
        signature = public.raw_to_der(r.to_bytes(_FIELD) + low.to_bytes(_FIELD))
    made = Envelope(payload=payload, keyid=key.fingerprint(), signature=signature)
    data = _emit(made)
    verify(parse(data, "the envelope"), key)
    return data


def parse(data: bytes, what: str) -> Envelope:
    """Read an envelope; who signed it is not asked.

    Args:
        data: The file.
        what: What it is, for messages.

    Raises:
        FormatError: It is not an envelope, or not in the one form.
    """
    found = documents.read(_Document, data, what, limit=MAX_SIZE)
    if len(found.signatures) != 1:
        raise FormatError(f"{what} has {len(found.signatures)} signatures: expected one")
    if found.payloadType != PAYLOAD_TYPE:
        raise FormatError(
            f"{what} has payloadType {found.payloadType[:80]!r}: expected {PAYLOAD_TYPE}"
        )
    [signature] = found.signatures
    made = Envelope(payload=found.payload, keyid=signature.keyid, signature=signature.sig)
    refuse_other_form(_emit(made), data, what)
    return made


def verify(envelope: Envelope, key: PublicKey) -> None:
    """Check who signed an envelope.

    Raises:
        UsageError: The key is not one for envelopes.
        VerificationRefused: It names another key, or the signature is not by this one, or an ECDSA
            signature is not in the one form.
    """
    how = algorithm(key)
    if envelope.keyid != key.fingerprint():
        raise VerificationRefused(
            f"it names the key {envelope.keyid[:64]!r}: expected {key.fingerprint()}"
        )
    signature = envelope.signature
    if not key.kind.is_rsa:
        try:
            signature = public.der_to_raw(envelope.signature, how)
        except FormatError as error:
            raise VerificationRefused(f"the signature is malformed: {error.message}") from error
        if public.raw_to_der(signature) != envelope.signature:
            raise VerificationRefused("the signature is not in the one DER form")
        if int.from_bytes(signature[_FIELD:]) > _P256_ORDER // 2:
            raise VerificationRefused("the s of the signature is the higher one of two")
    public.verify_digest(key, _digest(envelope.payload), signature, how)


def refuse_other_form(expected: bytes, observed: bytes, what: str) -> None:
    """Refuse a file that is not, byte for byte, as it would be written here.

    Raises:
        FormatError: It is not.
    """
    if expected == observed:
        return
    pairs = zip(expected, observed, strict=False)
    shorter = min(len(expected), len(observed))
    at = next((place for place, (a, b) in enumerate(pairs) if a != b), shorter)
    raise FormatError(
        f"{what} is not in the one form that is written: it differs at byte {at} of {len(observed)}"
    )


def _digest(payload: bytes) -> bytes:
    return hashlib.sha256(pae(payload)).digest()


def _emit(envelope: Envelope) -> bytes:
    document = documents.dump(
        _Document(
            payload=envelope.payload,
            payloadType=PAYLOAD_TYPE,
            signatures=(_Signature(keyid=envelope.keyid, sig=envelope.signature),),
        )
    )
    return json.dumps(json.loads(document), separators=(",", ":")).encode() + b"\n"
