# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import hashlib
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)

from bootseal.keys import published
from bootseal.keys.search import search

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


SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be found
X = x25519.X25519PrivateKey.generate()
SECRET = BestAvailableEncryption(b"passphrase")
PEM = FORMS["rsa pkcs8 pem"]


def number(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def web_key() -> dict[str, object]:
    point = EC.public_key().public_numbers()
    private = number(EC.private_numbers().private_value)
    return {"kty": "EC", "crv": "P-256", "d": private, "x": number(point.x), "y": number(point.y)}


def putty() -> bytes:
    line = ED.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    kind, public = line.split()
    return (
        b"PuTTY-User-Key-File-3: %b\r\nEncryption: none\r\nComment: c\r\nPublic-Lines: 2\r\n%b\r\n"
        b"%b\r\nPrivate-Lines: 1\r\n%b\r\nPrivate-MAC: 00\r\n"
    ) % (kind, public[:40], public[40:], base64.b64encode(bytes(36)))


def tpm_key() -> bytes:
    """The outline of a key sealed by a TPM: its OID, its parent, its public and sealed halves."""
    body = bytes.fromhex("06066781050a01030204400000010410") + bytes(16) + b"\4\x10" + bytes(16)
    return b"\x30" + bytes([len(body)]) + body


# How a key may be written, and whose fingerprint is known.
Private = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | x25519.X25519PrivateKey
)
CLOTHES: dict[str, tuple[bytes, Private | None]] = {
    "pkcs1 der, 1024 bits": (
        SMALL.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        SMALL,
    ),
    "x25519 der": (X.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), X),
    "encrypted der": (RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, SECRET), None),
    "encrypted der, base64": (
        base64.b64encode(RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, SECRET)),
        None,
    ),
    "pkcs12": (pkcs12.serialize_key_and_certificates(b"n", EC, None, None, SECRET), None),
    "sealed by a tpm": (tpm_key(), None),
    "indented by tabs": (PEM.replace(b"\n", b"\n\t\t"), RSA),
    "quoted": (PEM.replace(b"\n", b"\n> "), RSA),
    "string of C": (PEM.replace(b"\n", b'\\n"\n"'), RSA),
    "string of JSON": (json.dumps({"key": PEM.decode()}).encode(), RSA),
    "utf-16 le": (PEM.decode().encode("utf-16-le"), RSA),
    "utf-16 be": (PEM.decode().encode("utf-16-be"), RSA),
    "base64 of pem": (base64.encodebytes(PEM), RSA),
    "base64 of pkcs8": (b"key: %b\n" % base64.b64encode(FORMS["rsa pkcs8 der"]), RSA),
    "base64 of pkcs8 in a block": (
        b"key: |\n  " + base64.encodebytes(FORMS["rsa pkcs8 der"]).replace(b"\n", b"\n  "),
        RSA,
    ),
    "base64 of ed25519": (base64.b64encode(FORMS["ed pkcs8 der"]), ED),
    "base64 of sec1": (base64.urlsafe_b64encode(FORMS["ec sec1 der"]).rstrip(b"="), EC),
    "jwk": (json.dumps({"keys": [web_key()]}).encode(), EC),
    "jwk in a string": (json.dumps(json.dumps(web_key())).encode(), EC),
    "putty": (putty(), ED),
}


@pytest.mark.parametrize("name", CLOTHES)
def test_private_key_in_other_clothes_is_found(name: str) -> None:
    raw, key = CLOTHES[name]
    spki = b"" if key is None else key.public_key().public_bytes(Encoding.DER, INFO)

    found = [key for key in search.find(b"lorem ipsum\n" + raw + b"\ndolor") if key.private]

    assert [key.spki for key in found] == [spki]


@pytest.mark.parametrize("name", CLOTHES)
def test_clothes_without_their_key_are_empty(name: str) -> None:
    """Cut in two, or with a byte of its frame changed, nothing is a key."""
    raw, _ = CLOTHES[name]
    half = raw[: len(raw) // 2] if name != "jwk" else raw.replace(b'"d"', b'"D"')

    assert [key for key in search.find(half) if key.private] == []


INFO = PublicFormat.SubjectPublicKeyInfo


def test_public_keys_in_documents_are_not_private() -> None:
    public = {name: value for name, value in web_key().items() if name != "d"}
    der = RSA.public_key().public_bytes(Encoding.DER, INFO)

    for text in (json.dumps(public).encode(), base64.b64encode(der)):
        assert [key for key in search.find(text) if key.private] == []


@pytest.mark.parametrize("kind", [["EC"], {"EC": 1}, 5, None, True])
def test_web_key_whose_kind_is_no_text_is_none(kind: object) -> None:
    text = json.dumps(web_key() | {"kty": kind}).encode()

    assert [key for key in search.find(text) if key.private] == []


@pytest.mark.parametrize(
    "mark", [b"-----BEGIN " + b"PRIVATE KEY-----", b'{"kty":[', b"MC4CAQAw\n", b"0\x08\2\1\0\x30"]
)
def test_a_file_full_of_marks_takes_little_time(mark: bytes) -> None:
    start = time.process_time()

    assert list(search.find(mark * 100_000)) == []

    assert time.process_time() - start < 5
