# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.keys import public
from bootseal.keys.algorithms import HASHES, Algorithm, KeyKind
from bootseal.keys.public import Curve, EcPublicKey, RsaPublicKey, verify_digest
from bootseal.keys.signers.file import FileSigner

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


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("curve", list(Curve))
def test_ecdsa_signature_is_r_and_s_and_repeatable_and_each_tampered_twin_is_refused(
    tmp_path: Path, hash_name: str, curve: Curve
) -> None:
    private = ec.generate_private_key(curve.crypto)
    signer = FileSigner.load(write_key(tmp_path / "fit.key", private))
    algorithm = Algorithm.parse(f"{hash_name},{signer.public_key.kind}")
    digest = algorithm.digest([b"payload"])
    signature = signer.sign_digest(digest, algorithm)

    assert len(signature) == algorithm.signature_size
    assert signer.sign_digest(digest, algorithm) == signature
    verify_digest(signer.public_key, digest, signature, algorithm)
    half = len(signature) // 2
    der = utils.encode_dss_signature(
        int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    )
    scheme = ec.ECDSA(utils.Prehashed(public.HASHES[hash_name]))
    private.public_key().verify(der, digest, scheme)
    assert public.der_to_raw(der, algorithm) == signature
    for position in (0, half, -1):
        changed = bytearray(signature)
        changed[position] ^= 1
        with pytest.raises(VerificationRefused, match="is not by key"):
            verify_digest(signer.public_key, digest, bytes(changed), algorithm)
    with pytest.raises(VerificationRefused, match="signature of"):
        verify_digest(signer.public_key, digest, der, algorithm)


def test_ecdsa_signature_of_zeros_is_refused(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    signer = FileSigner.load(write_key(tmp_path / "fit.key", private))

    with pytest.raises(VerificationRefused, match="is not by key"):
        verify_digest(signer.public_key, DIGEST, bytes(64), Algorithm.parse("sha256,ecdsa256"))


def test_ecdsa_signature_with_a_small_number_keeps_its_width() -> None:
    algorithm = Algorithm.parse("sha384,ecdsa384")

    raw = public.der_to_raw(utils.encode_dss_signature(1, 2), algorithm)

    assert raw == (1).to_bytes(48) + (2).to_bytes(48)
    assert public.raw_to_der(raw) == utils.encode_dss_signature(1, 2)
    with pytest.raises(FormatError, match="DER form"):
        public.der_to_raw(utils.encode_dss_signature(1 << 384, 2), algorithm)
    with pytest.raises(FormatError, match="DER form"):
        public.der_to_raw(raw, algorithm)


def test_curve_key_has_the_forms_of_the_library() -> None:
    theirs = ec.generate_private_key(ec.SECP384R1()).public_key()
    key = public.from_crypto(theirs)

    assert isinstance(key, EcPublicKey)
    assert (key.kind, key.bits, key.curve) == (KeyKind.ECDSA384, 384, Curve.P384)
    assert key.spki_der == theirs.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert EcPublicKey.from_point("secp384r1", key.x, key.y) == key
    with pytest.raises(FormatError, match="not on the curve secp384r1"):
        EcPublicKey.from_point("secp384r1", key.x, key.y ^ 1)
    with pytest.raises(FormatError, match="the curve is 'P-384'"):
        EcPublicKey.from_point("P-384", key.x, key.y)


def test_signature_of_one_padding_is_refused_under_the_other(signer: FileSigner) -> None:
    with pytest.raises(VerificationRefused, match="is not by key"):
        verify_digest(signer.public_key, DIGEST, signer.sign_digest(DIGEST, PKCS1), PSS)


def test_signature_by_another_key_is_refused(signer: FileSigner) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signature = other.sign(b"payload", padding.PKCS1v15(), hashes.SHA256())
    verify_digest(public.from_crypto(other.public_key()), DIGEST, signature, PKCS1)

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

    with pytest.raises(VerificationRefused, match="needs another"):
        verify_digest(signer.public_key, DIGEST, bytes(512), algorithm)
    with pytest.raises(UsageError, match="the key is rsa2048") as refusal:
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
    theirs, key = private.public_key(), signer.public_key

    assert isinstance(key, RsaPublicKey)
    assert key.kind is KeyKind.RSA2048
    assert key.bits == 2048
    assert key.exponent == 65537
    assert key.spki_der == theirs.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.pkcs1_der == theirs.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert key.fingerprint() == hashlib.sha256(key.spki_der).hexdigest()
    assert public.from_pem(key.pem) == key
    assert public.from_der(key.spki_der) == key
    assert RsaPublicKey.from_numbers(key.modulus, key.exponent) == key


def test_numbers_that_are_no_key_are_refused() -> None:
    with pytest.raises(FormatError, match="has 7 bits"):
        RsaPublicKey.from_numbers(91, 65537)
    with pytest.raises(FormatError, match="not an RSA public key"):
        RsaPublicKey.from_numbers((1 << 2047) + 1, 4)


def test_public_pem_that_is_none_is_refused(private: rsa.RSAPrivateKey) -> None:
    with pytest.raises(FormatError, match="no public key"):
        public.from_pem(b"hello")
    with pytest.raises(FormatError, match="no public key"):
        public.from_pem(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(FormatError, match="in DER form"):
        public.from_der(b"hello")
    curve = ec.generate_private_key(ec.SECP521R1()).public_key()
    with pytest.raises(FormatError, match="the curve is 'secp521r1'"):
        public.from_pem(curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    with pytest.raises(FormatError, match="expected an RSA key or one on"):
        public.from_pem(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


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


def test_file_that_is_no_usable_private_key_is_refused(
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
    curve = write_key(tmp_path / "curve.key", ec.generate_private_key(ec.SECP521R1()))
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    small = write_key(tmp_path / "small.key", short)

    cases: list[tuple[Path, type[BootsealError], str]] = [
        (text, FormatError, "does not hold a private key"),
        (damaged, FormatError, "does not hold a private key"),
        (public, UsageError, "public key or certificate"),
        (curve, FormatError, "the curve is 'secp521r1'"),
        (small, FormatError, "modulus has 1024 bits"),
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
