# SPDX-License-Identifier: MIT
"""What the certificates of a boot chain say, in the one form that each value has."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests import samples

from bootseal.errors import FormatError, VerificationRefused
from bootseal.keys import tbbr


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 65535, tbbr.MAX_COUNTER])
def test_counter_is_read_as_written(value: int) -> None:
    assert tbbr.read_counter(tbbr.counter(value)) == value


@pytest.mark.parametrize(
    "value",
    ["", "02", "0200", "020180", "02020001", "0205008000000000", "0401ff", "020101ff", "02810101"],
)
def test_other_forms_of_a_counter_are_refused(value: str) -> None:
    with pytest.raises(FormatError, match="the counter is"):
        tbbr.read_counter(bytes.fromhex(value))


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_digest_is_read_as_written(name: str) -> None:
    digest = hashlib.new(name, b"BL2").digest()
    value = tbbr.digest_info(name, digest)

    assert tbbr.read_digest_info(value) == (name, digest)
    for wrong in (b"", value[:-1], value + b"\0", value[:3] + b"\0" + value[4:]):
        with pytest.raises(FormatError, match="the hash begins with"):
            tbbr.read_digest_info(wrong)


def built(
    *,
    critical: bool = True,
    scheme: padding.PSS | padding.PKCS1v15 | None = None,
    oid: str = "1.3.6.1.4.1.4128.2100.1",
) -> bytes:
    """Return a certificate with a counter, by another writer than ours."""
    key = samples.signer("rsa2048", 1)._private
    assert isinstance(key, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "BL2")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    value = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), tbbr.counter(1))
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signed = builder.add_extension(value, critical=critical).sign(
        key, hashes.SHA256(), rsa_padding=scheme or pss
    )
    return signed.public_bytes(serialization.Encoding.DER)


def test_what_another_writer_makes_is_read_and_verified() -> None:
    found = tbbr.read(built())

    assert dict(found.extensions) == {1: tbbr.counter(1)}
    tbbr.verify(found, found.public_key)
    with pytest.raises(VerificationRefused, match="is not by key"):
        tbbr.verify(found, samples.signer("rsa2048", 2).public_key)
    with pytest.raises(VerificationRefused, match="by RSASSA-PSS: the key is ecdsa256"):
        tbbr.verify(found, samples.signer("ecdsa256", 1).public_key)


def salted(size: int) -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=size)


@pytest.mark.parametrize(
    ("der", "said"),
    {
        "PKCS#1 v1.5": (built(scheme=padding.PKCS1v15()), "the signature algorithm is not one"),
        "salt": (built(scheme=salted(20)), "the signature algorithm is not one"),
        "other hash for the mask": (
            built(scheme=padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=32)),
            "the signature algorithm is not one",
        ),
        "not critical": (built(critical=False), "1.3.6.1.4.1.4128.2100.1 is not critical"),
        "unknown extension": (built(oid="1.2.3.4"), "1.2.3.4 does not belong to a boot chain"),
        "more behind it": (built() + b"\0", "not a certificate in DER form"),
        "cut": (built()[:-1], "not a certificate in DER form"),
        "empty": (b"", "not a certificate in DER form"),
    }.values(),
)
def test_certificates_of_other_forms_are_refused(der: bytes, said: str) -> None:
    with pytest.raises(FormatError) as caught:
        tbbr.read(der)
    assert said in caught.value.message


def test_the_two_signature_algorithms_are_the_same() -> None:
    der = built()
    inner = der.index(bytes.fromhex("a203020120"))
    for changed in (inner, der.rindex(bytes.fromhex("a203020120"))):
        with pytest.raises(FormatError, match="signature algorithm"):
            tbbr.read(der[: changed + 4] + b"\x21" + der[changed + 5 :])
