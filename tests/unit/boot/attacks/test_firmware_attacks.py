# SPDX-License-Identifier: MIT
"""Attacks on boot loaders do what they say, and those by their maker are signed."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.unit.firmware import fips

from bootseal.boot.attacks import firmware
from bootseal.firmware import chain, verify
from bootseal.formats import fip
from bootseal.keys import tbbr
from bootseal.keys.signers.file import FileSigner

IMAGES = {name: name.encode() * 100 for name in chain.REQUIRED}


def test_signed_anew_holds_the_other_image_and_verifies_with_the_other_root_key_alone() -> None:
    content = firmware.foreign(fip.emit(IMAGES | dict.fromkeys(chain.CERTIFICATES, b"old")))
    found = fip.parse(content)
    root = verify.check(found, "0" * 64).findings[0]
    verdict = verify.check(found, root.observed)

    assert root.id == "firmware.root-key"
    assert verdict.findings == ()
    assert set(verdict.counters.values()) == {1}
    assert {name: found.image(name) for name in chain.REQUIRED} == IMAGES


def test_flips_change_one_bit_where_they_say() -> None:
    content = fip.emit(IMAGES)
    entry = next(e for e in fip.parse(content).entries if e.name == "soc-fw")
    for change, place in (
        (firmware.at(8), 8),
        (firmware.inside("soc-fw"), entry.offset + entry.size // 2),
        (firmware.last_byte("soc-fw"), entry.end - 1),
    ):
        changed = change(content)
        differing = [i for i, (a, b) in enumerate(zip(content, changed, strict=True)) if a != b]
        assert differing == [place]


@pytest.fixture(scope="module")
def root_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def package(root_key: rsa.RSAPrivateKey) -> bytes:
    signers = fips.signers("rsa2048") | {chain.Key.MRK: FileSigner(root_key)}
    return firmware.signed(fip.emit(IMAGES), {}, signers, 1)


SCHEME = tuple[bytes, padding.AsymmetricPadding, hashes.HashAlgorithm]


def by_own_words(package: bytes) -> SCHEME:
    """Return the way in which the certificate is signed already."""
    now = tbbr.read(fips.images(package)["tb-fw-cert"])
    whole = fips.images(package)["tb-fw-cert"]
    size = len(now.signature) + 5
    identifier = whole[4 + len(now.signed) : -size]
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    return identifier, scheme, hashes.SHA256()


@pytest.mark.parametrize("way", [firmware.PSS_SHA1, firmware.PKCS1_SHA256], ids=["sha1", "pkcs1"])
def test_certificate_signed_in_another_way_is_refused_for_that_alone(
    root_key: rsa.RSAPrivateKey, package: bytes, way: SCHEME
) -> None:
    root = FileSigner(root_key).public_key.fingerprint()
    content = firmware.certified(package, root_key, *way)
    found = x509.load_der_x509_certificate(fips.images(content)["tb-fw-cert"])
    _, scheme, hashed = way

    # The signature is good, and the same certificate as it was signed before is accepted.
    root_key.public_key().verify(found.signature, found.tbs_certificate_bytes, scheme, hashed)
    (finding,) = verify.check(fip.parse(content), root).findings
    assert finding.id == "firmware.certificate"
    assert "the signature algorithm is not one that TF-A accepts" in finding.message
    again = firmware.certified(package, root_key, *by_own_words(package))
    assert again != package
    assert verify.check(fip.parse(again), root).findings == ()


def test_torn_fip_is_its_beginning() -> None:
    content = fip.emit(IMAGES)

    assert content.startswith(firmware.half(content))
    assert firmware.behind(content) == content + b"\1"
