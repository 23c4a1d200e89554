# SPDX-License-Identifier: MIT
"""Endorsement certificates: a path to a given authority, or a refusal that says what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from bootseal.errors import FormatError, VerificationRefused
from bootseal.keys.tpm import endorsement

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 11, 22, tzinfo=UTC)
EK = "2.23.133.8.1"
OTHER_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Party:
    """A key, and certificates by it."""

    def __init__(self, name: str) -> None:
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())

    def certify(
        self,
        subject: Party,
        *,
        authority: bool = True,
        usages: Sequence[str] = (),
        cert_sign: bool = True,
        end: datetime = NOW + timedelta(days=1),
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject.name)
            .issuer_name(self.name)
            .public_key(subject.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if authority:
            others = dict.fromkeys(OTHER_USAGES, False)
            usage = x509.KeyUsage(key_cert_sign=cert_sign, **others)
            builder = builder.add_extension(usage, critical=True)
        if usages:
            named = [x509.ObjectIdentifier(usage) for usage in usages]
            builder = builder.add_extension(x509.ExtendedKeyUsage(named), critical=False)
        return builder.sign(self.key, SHA256())


@pytest.fixture(scope="module")
def parties() -> tuple[Party, Party, Party]:
    return Party("root"), Party("issuer"), Party("ek")


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def leaf(issuer: Party, ek: Party) -> bytes:
    return der(issuer.certify(ek, authority=False, usages=[EK]))


def test_path_over_an_issuer_to_the_root_is_accepted(parties: tuple[Party, Party, Party]) -> None:
    root, issuer, ek = parties
    trusted = [root.certify(issuer), root.certify(root)]

    found = endorsement.check(leaf(issuer, ek), trusted, NOW)

    assert (found.issuer, found.anchor) == ("CN=issuer", "CN=root")
    assert found.public_key.kind == "ecdsa256"


def test_certificate_by_a_namesake_of_the_issuer_is_refused(
    parties: tuple[Party, Party, Party],
) -> None:
    root, issuer, ek = parties
    trusted = [root.certify(issuer), root.certify(root)]

    with pytest.raises(VerificationRefused, match="none of the given authorities"):
        endorsement.check(leaf(Party("issuer"), ek), trusted, NOW)


def test_issuer_that_may_not_certify_leads_nowhere(parties: tuple[Party, Party, Party]) -> None:
    root, issuer, ek = parties
    trusted = [root.certify(issuer, cert_sign=False), root.certify(root)]

    with pytest.raises(VerificationRefused, match="none of the given authorities"):
        endorsement.check(leaf(issuer, ek), trusted, NOW)


def test_expired_issuer_is_refused(parties: tuple[Party, Party, Party]) -> None:
    root, issuer, ek = parties
    trusted = [root.certify(issuer, end=NOW - timedelta(hours=1)), root.certify(root)]

    with pytest.raises(VerificationRefused, match="the certificate of CN=issuer is valid from"):
        endorsement.check(leaf(issuer, ek), trusted, NOW)


def test_authorities_that_certify_each_other_are_no_end(
    parties: tuple[Party, Party, Party],
) -> None:
    root, issuer, ek = parties
    trusted = [root.certify(issuer), issuer.certify(root)]

    with pytest.raises(VerificationRefused, match="more than 5 certificates"):
        endorsement.check(leaf(issuer, ek), trusted, NOW)


@pytest.mark.parametrize("usages", [[], ["1.3.6.1.5.5.7.3.1"]], ids=["none", "server"])
def test_certificate_for_another_use_is_refused(
    parties: tuple[Party, Party, Party], usages: list[str]
) -> None:
    root, _, ek = parties
    other = der(root.certify(ek, authority=False, usages=usages))

    with pytest.raises(VerificationRefused, match=r"an endorsement key has 2\.23\.133\.8\.1"):
        endorsement.check(other, [root.certify(root)], NOW)


def test_bytes_that_are_no_certificate_are_malformed(parties: tuple[Party, Party, Party]) -> None:
    root, issuer, ek = parties
    good = leaf(issuer, ek)

    for data in (b"", b"\x30\x00", good[:-1], good + b"\0"):
        with pytest.raises(FormatError, match="cannot be read"):
            endorsement.check(data, [root.certify(root)], NOW)


def test_file_of_authorities_holds_nothing_else(parties: tuple[Party, Party, Party]) -> None:
    root, issuer, ek = parties
    pem = root.certify(root).public_bytes(Encoding.PEM)
    pem += root.certify(issuer).public_bytes(Encoding.PEM)

    assert len(endorsement.authorities(pem, "file")) == 2
    with pytest.raises(FormatError, match="file does not hold certificates"):
        endorsement.authorities(b"nothing", "file")
    plain = root.certify(ek, authority=False).public_bytes(Encoding.PEM)
    with pytest.raises(FormatError, match="file: CN=ek may not certify other keys"):
        endorsement.authorities(pem + plain, "file")
