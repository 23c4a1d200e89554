# SPDX-License-Identifier: MIT
"""Attacks on boot loaders do what they say, and those by their maker are signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from tests.unit.firmware import fips

from bootseal.boot.attacks import firmware
from bootseal.firmware import chain, verify
from bootseal.formats import fip
from bootseal.keys import tbbr
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize("image", chain.CERTIFICATES)
def test_flip_in_what_a_certificate_vouches_for_is_refused_by_its_signature(image: str) -> None:
    content = fips.signed("rsa2048")
    changed = firmware.vouched(image)(content)
    before, after = fips.images(content), fips.images(changed)

    assert [name for name in before if before[name] != after[name]] == [image]
    refusal = fips.refused(changed, fips.root_hash("rsa2048"))[0]
    assert refusal == ("firmware.signature", image)


@pytest.fixture(scope="module")
def root_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "mrk.key"
    key = rsa.generate_private_key(65537, 2048)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    path.chmod(0o600)
    return path


def pss(hashed: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(hashed), salt_length=hashed.digest_size)


OWN = ("-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
WAYS = (
    (firmware.PSS_SHA1, pss(hashes.SHA1()), hashes.SHA1()),  # noqa: S303 - it is refused
    (firmware.PKCS1_SHA256, padding.PKCS1v15(), hashes.SHA256()),
)


@pytest.mark.tool("openssl")
@pytest.mark.parametrize(("way", "scheme", "hashed"), WAYS, ids=["sha1", "pkcs1"])
def test_certificate_signed_in_another_way_is_refused_for_that_alone(
    root_key: Path,
    way: tuple[bytes, *tuple[str, ...]],
    scheme: padding.AsymmetricPadding,
    hashed: hashes.HashAlgorithm,
) -> None:
    root = FileSigner.load(root_key)
    signers = fips.signers("rsa2048") | {chain.Key.MRK: root}
    package = firmware.signed(fip.emit(IMAGES), {}, signers, 1)
    content = firmware.certified(package, root_key, *way)
    found = x509.load_der_x509_certificate(fips.images(content)["tb-fw-cert"])

    # The signature is good, and the same certificate signed as before is accepted.
    key = root.public_key.crypto
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(found.signature, found.tbs_certificate_bytes, scheme, hashed)
    (finding,) = verify.check(fip.parse(content), root.public_key.fingerprint()).findings
    assert finding.id == "firmware.certificate"
    assert "the signature algorithm is not one that TF-A accepts" in finding.message
    again = firmware.certified(package, root_key, identifier(package), *OWN)
    assert again != package
    assert verify.check(fip.parse(again), root.public_key.fingerprint()).findings == ()


def identifier(package: bytes) -> bytes:
    """Return the algorithm that BL2's certificate names now."""
    whole = fips.images(package)["tb-fw-cert"]
    now = tbbr.read(whole)
    return whole[4 + len(now.signed) : -len(now.signature) - 5]


def test_torn_fip_is_its_beginning() -> None:
    content = fip.emit(IMAGES)

    assert content.startswith(firmware.half(content))
    assert firmware.behind(content) == content + b"\1"
