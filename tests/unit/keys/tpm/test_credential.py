# SPDX-License-Identifier: MIT
"""What keys of a TPM signed, and credentials for them, as far as no TPM is needed."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import struct

import pytest

from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.formats.tpm.structures import EccKey, Public, RsaKey, Scheme, Signature
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm, KeyKind
from bootseal.keys.public import EcPublicKey
from bootseal.keys.signers.file import FileSigner
from bootseal.keys.tpm import credential

GOOD = 0x00050072


def area(signer: FileSigner, attributes: int = GOOD) -> Public:
    key = signer.public_key
    assert isinstance(key, EcPublicKey)
    return Public(
        attributes=attributes,
        policy=b"",
        scheme=Scheme.ECDSA,
        scheme_hash="sha256",
        key=EccKey(curve=key.curve, x=key.x, y=key.y),
        name=b"",
    )


@pytest.fixture(scope="module")
def signer() -> FileSigner:
    return FileSigner(certificate.make_private(KeyKind.ECDSA256))


def sign(signer: FileSigner, message: bytes) -> Signature:
    algorithm = Algorithm.parse("sha256,ecdsa256")
    raw = signer.sign_digest(hashlib.sha256(message).digest(), algorithm)
    numbers = (raw[:32].lstrip(b"\0"), raw[32:].lstrip(b"\0"))
    return Signature(scheme=Scheme.ECDSA, hash_name="sha256", numbers=numbers)


def test_signature_is_verified_and_its_tampered_twin_refused(signer: FileSigner) -> None:
    public = area(signer)
    key = credential.public_key(public.key)
    signature = sign(signer, b"message")

    credential.verify(public, key, b"message", signature)
    with pytest.raises(VerificationRefused, match="is not by key"):
        credential.verify(public, key, b"massage", signature)


@pytest.mark.parametrize(
    "change",
    [{"hash_name": "sha384"}, {"scheme": Scheme.RSASSA}, {"numbers": (b"\1" * 33, b"\1")}],
    ids=["hash", "scheme", "too-long"],
)
def test_signature_of_another_form_is_refused(
    signer: FileSigner, change: dict[str, object]
) -> None:
    public = area(signer)
    fields = {name: getattr(sign(signer, b"m"), name) for name in Signature.__dataclass_fields__}

    with pytest.raises(VerificationRefused):
        credential.verify(
            public, credential.public_key(public.key), b"m", Signature(**{**fields, **change})
        )


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (GOOD & ~(1 << 1), "lacks FIXED_TPM"),
        (GOOD & ~(1 << 4), "lacks FIXED_PARENT"),
        (GOOD & ~(1 << 5), "lacks SENSITIVE_DATA_ORIGIN"),
        (GOOD & ~(1 << 16), "lacks RESTRICTED"),
        (GOOD & ~(1 << 18), "lacks SIGN"),
        (GOOD | (1 << 17), "may decrypt"),
    ],
)
def test_key_that_could_sign_something_else_is_refused(
    signer: FileSigner, attributes: int, reason: str
) -> None:
    credential.check_attestation_key(area(signer))
    with pytest.raises(VerificationRefused, match=reason):
        credential.check_attestation_key(area(signer, attributes))


@pytest.mark.parametrize("scheme", [None, Scheme.RSAPSS])
def test_key_without_a_fitting_scheme_is_refused(signer: FileSigner, scheme: Scheme | None) -> None:
    public = dataclasses.replace(area(signer), scheme=scheme)

    with pytest.raises(VerificationRefused, match="no matching signature scheme"):
        credential.check_attestation_key(public)


def test_kdfa_is_hmac_in_counter_mode() -> None:
    block = b"\0\0\0\1STORAGE\0name" + struct.pack(">I", 128)

    assert (
        credential.kdfa("sha256", b"key", b"STORAGE", b"name", 128)
        == (hmac.digest(b"key", block, "sha256")[:16])
    )
    assert len(credential.kdfa("sha256", b"key", b"L", b"", 512)) == 64


def test_credential_needs_a_key_of_a_standard_template_and_a_short_secret(
    signer: FileSigner,
) -> None:
    big = FileSigner(certificate.make_private(KeyKind.RSA4096)).public_key

    with pytest.raises(UsageError, match="is rsa4096: expected one of rsa2048"):
        credential.make_credential(big, b"name", b"secret")
    with pytest.raises(UsageError, match="has 33 bytes: expected at most 32"):
        credential.make_credential(signer.public_key, b"name", bytes(33))


def test_credentials_are_never_the_same(signer: FileSigner) -> None:
    made = {credential.make_credential(signer.public_key, b"name", b"secret") for _ in range(3)}

    assert len(made) == 3


def test_rsa_key_of_an_unusual_size_is_refused() -> None:
    with pytest.raises(FormatError, match="RSA modulus has 1024 bits"):
        credential.public_key(RsaKey(modulus=(1 << 1023) + 1, exponent=65537))
