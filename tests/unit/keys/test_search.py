# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bootseal.keys import published, search

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
NOISE = bytes(range(256)) * 3

FORMS = {
    "rsa pkcs8 pem": RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "rsa pkcs1 pem": RSA.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    ),
    "rsa pkcs8 der": RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "rsa pkcs1 der": RSA.private_bytes(
        Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    ),
    "ec sec1 pem": EC.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "ec sec1 der": EC.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "ec pkcs8 der": EC.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "ed pkcs8 der": ED.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "ed openssh": ED.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
    "rsa openssh": RSA.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
}


@pytest.mark.parametrize("name", FORMS)
def test_private_key_is_found_anywhere(name: str) -> None:
    keys: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey] = {
        "rs": RSA,
        "ec": EC,
        "ed": ED,
    }
    key = keys[name[:2]]
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    found = [key for key in search.find(NOISE + FORMS[name] + NOISE) if key.private]

    assert [key.offset for key in found] == [len(NOISE)]
    assert found[0].fingerprint == hashlib.sha256(spki).hexdigest()


def test_encrypted_private_key_is_found() -> None:
    pem = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))

    found = list(search.find(pem))

    assert [(key.private, key.form) for key in found] == [(True, "PEM ENCRYPTED PRIVATE KEY")]
    assert found[0].fingerprint == ""


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["rsa", "ec", "ed"])
def test_public_key_is_found_by_its_fingerprint(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    encoding: Encoding,
) -> None:
    public = key.public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    found = list(search.find(NOISE + text))

    assert [(key.private, key.offset) for key in found] == [(False, len(NOISE))]
    assert found[0].fingerprint == hashlib.sha256(spki).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        b"\0".join(b"-----%s RSA PRIVATE KEY-----" % edge for edge in (b"BEGIN", b"END")),
        b"expected -----%s PRIVATE KEY----- in the file" % b"BEGIN",
        bytes.fromhex("30820122300d06092a864886f70d01010105000382010f00") + bytes(16),
        NOISE * 100,
    ],
)
def test_marks_alone_are_no_keys(text: bytes) -> None:
    assert list(search.find(text)) == []


def test_published_key_says_where_it_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    spki = EC.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name = "Project, tests/key.pem"
    monkeypatch.setattr(published, "_origins", lambda: {hashlib.sha256(spki).hexdigest(): name})

    (found,) = search.find(FORMS["ec sec1 pem"])

    assert found.origin == name


def test_known_self_tests_are_known() -> None:
    fingerprint = "458022ddcb5598b39253bc027eb02c4f3dba00e2bdbaef239a35bc91c9bd4f3a"
    assert published.origin(fingerprint) == "GnuTLS, lib/crypto-selftests-pk.c, ECDSA P-256"


def test_many_keys_in_one_file_are_found_in_little_time() -> None:
    """Proving that the primes of each are prime took the fuzzer's slowest file 20 seconds."""
    start = time.process_time()

    found = list(search.find(FORMS["rsa pkcs8 der"] * 200))

    assert sum(key.private for key in found) == 200
    assert time.process_time() - start < 5
