# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.signer import FileSigner, PublicKey, verify_digest

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = hashlib.sha256(b"payload").digest()
PKCS1 = Algorithm.parse("sha256,rsa2048")
PSS = Algorithm.parse("sha256,rsa2048", padding="pss")


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def write_key(
    path: Path,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    encryption: KeySerializationEncryption | None = None,
) -> Path:
    encryption = encryption or NoEncryption()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return path


@pytest.fixture
def signer(private: rsa.RSAPrivateKey, tmp_path: Path) -> FileSigner:
    return FileSigner.load(write_key(tmp_path / "fit.key", private))


@pytest.mark.parametrize("algorithm", [PKCS1, PSS], ids=["pkcs-1.5", "pss"])
def test_signature_verifies_and_each_tampered_twin_is_refused(
    signer: FileSigner, algorithm: Algorithm
) -> None:
    signature = signer.sign_digest(DIGEST, algorithm)
    verify_digest(signer.public_key, DIGEST, signature, algorithm)

    for position in (0, 100, 255):
        changed = bytearray(signature)
        changed[position] ^= 1
        with pytest.raises(VerificationRefused, match="is not by key"):
            verify_digest(signer.public_key, DIGEST, bytes(changed), algorithm)
    with pytest.raises(VerificationRefused, match="is not by key"):
        verify_digest(signer.public_key, hashlib.sha256(b"other").digest(), signature, algorithm)


def test_signature_of_one_padding_is_refused_under_the_other(signer: FileSigner) -> None:
    with pytest.raises(VerificationRefused, match="is not by key"):
        verify_digest(signer.public_key, DIGEST, signer.sign_digest(DIGEST, PKCS1), PSS)


def test_signature_by_another_key_is_refused(signer: FileSigner) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signature = other.sign(b"payload", padding.PKCS1v15(), hashes.SHA256())
    verify_digest(PublicKey.from_crypto(other.public_key()), DIGEST, signature, PKCS1)

    with pytest.raises(VerificationRefused, match="is not by key"):
        verify_digest(signer.public_key, DIGEST, signature, PKCS1)


@pytest.mark.parametrize("size", [0, 255, 257])
def test_signature_of_another_length_is_refused(signer: FileSigner, size: int) -> None:
    with pytest.raises(VerificationRefused, match=f"signature of {size} bytes"):
        verify_digest(signer.public_key, DIGEST, bytes(size), PKCS1)


def test_digest_of_another_length_is_refused(signer: FileSigner) -> None:
    signature = signer.sign_digest(DIGEST, PKCS1)

    with pytest.raises(VerificationRefused, match="digest of 20 bytes"):
        verify_digest(signer.public_key, DIGEST[:20], signature, PKCS1)
    with pytest.raises(UsageError, match="digest of 20 bytes"):
        signer.sign_digest(DIGEST[:20], PKCS1)


def test_algorithm_of_another_key_size_is_refused(signer: FileSigner) -> None:
    algorithm = Algorithm.parse("sha256,rsa4096")

    with pytest.raises(VerificationRefused, match="needs 4096"):
        verify_digest(signer.public_key, DIGEST, bytes(512), algorithm)
    with pytest.raises(UsageError, match="2048 bits") as refusal:
        signer.sign_digest(DIGEST, algorithm)
    assert refusal.value.hint == "use the algorithm sha256,rsa2048"


def test_pss_salt_is_as_long_as_the_digest_when_signing_and_free_when_verifying(
    private: rsa.RSAPrivateKey, signer: FileSigner
) -> None:
    exact = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    private.public_key().verify(signer.sign_digest(DIGEST, PSS), b"payload", exact, hashes.SHA256())

    longest = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
    signature = private.sign(b"payload", longest, hashes.SHA256())
    verify_digest(signer.public_key, DIGEST, signature, PSS)


def test_public_key_forms_agree_with_the_library(
    private: rsa.RSAPrivateKey, signer: FileSigner
) -> None:
    public, key = private.public_key(), signer.public_key

    assert key.bits == 2048
    assert key.exponent == 65537
    assert key.spki_der == public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.pkcs1_der == public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert key.fingerprint() == hashlib.sha256(key.spki_der).hexdigest()
    assert PublicKey.from_pem(key.pem) == key
    assert PublicKey.from_numbers(key.modulus, key.exponent) == key


def test_numbers_that_are_no_key_are_refused() -> None:
    with pytest.raises(FormatError, match="has 7 bits"):
        PublicKey.from_numbers(91, 65537)
    with pytest.raises(FormatError, match="no RSA public key"):
        PublicKey.from_numbers((1 << 2047) + 1, 4)


def test_public_pem_that_is_none_is_refused(private: rsa.RSAPrivateKey) -> None:
    with pytest.raises(FormatError, match="no public key"):
        PublicKey.from_pem(b"hello")
    with pytest.raises(FormatError, match="no public key"):
        PublicKey.from_pem(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(FormatError, match="expected an RSA key"):
        PublicKey.from_pem(curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_encrypted_key_loads_with_its_passphrase_only(
    private: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    path = write_key(tmp_path / "fit.key", private, BestAvailableEncryption(b"open"))

    assert FileSigner.load(path, b"open").public_key.bits == 2048
    with pytest.raises(UsageError, match="is encrypted: it needs its passphrase"):
        FileSigner.load(path)
    with pytest.raises(UsageError, match="passphrase is wrong"):
        FileSigner.load(path, b"shut")


def test_passphrase_for_a_plain_key_is_refused(private: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not encrypted"):
        FileSigner.load(write_key(tmp_path / "fit.key", private), b"open")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_key_that_others_may_access_is_refused(
    private: rsa.RSAPrivateKey, tmp_path: Path, mode: int
) -> None:
    path = write_key(tmp_path / "fit.key", private)
    path.chmod(mode)

    with pytest.raises(UsageError, match=f"mode {mode:04o}") as refusal:
        FileSigner.load(path)
    assert refusal.value.hint == f"chmod 600 {path}"


def test_file_that_is_no_rsa_private_key_is_refused(
    private: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    text = tmp_path / "text.key"
    text.write_bytes(b"hello")
    damaged = write_key(tmp_path / "damaged.key", private)
    damaged.write_bytes(damaged.read_bytes()[:900] + b"-----END PRIVATE KEY-----\n")
    public = tmp_path / "public.key"
    public.write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    curve = write_key(tmp_path / "curve.key", ec.generate_private_key(ec.SECP256R1()))
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    small = write_key(tmp_path / "small.key", short)

    cases: list[tuple[Path, type[BootsealError], str]] = [
        (text, FormatError, "holds no private key"),
        (damaged, FormatError, "holds no private key"),
        (public, UsageError, "public key or certificate"),
        (curve, FormatError, "expected an RSA private key"),
        (small, FormatError, "RSA key of 1024 bits"),
        (tmp_path / "none.key", UsageError, "there is no private key"),
        (tmp_path, UsageError, "is a directory"),
    ]
    for path, error, reason in cases:
        with pytest.raises(error, match=reason):
            FileSigner.load(path)


def test_traditional_rsa_pem_loads(private: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "fit.key"
    path.touch(mode=0o600)
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            NoEncryption(),
        )
    )

    assert FileSigner.load(path).public_key.bits == 2048
