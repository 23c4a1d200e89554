# SPDX-License-Identifier: MIT
"""Endorsement certificates: a path to a given authority, or a refusal that says what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from bootseal.errors import FormatError, VerificationRefused
from bootseal.keys.tpm import endorsement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Party:
    """A key, and certificates by it."""

    def __init__(self, name: str, key: Key | None = None) -> None:
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = key or ec.generate_private_key(ec.SECP256R1())

    def certify(
        self,
        subject: Party,
        *,
        authority: bool = True,
        usages: Sequence[str] = (),
        cert_sign: bool = True,
        end: datetime = NOW + timedelta(days=1),
        path_length: int | None = None,
        extension: x509.ExtensionType | None = None,
        critical: bool = True,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject.name)
            .issuer_name(self.name)
            .public_key(subject.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(end)
            .add_extension(
                x509.BasicConstraints(ca=authority, path_length=path_length), critical=True
            )
        )
        if authority:
            others = dict.fromkeys(OTHER_USAGES, False)
            usage = x509.KeyUsage(key_cert_sign=cert_sign, **others)
            builder = builder.add_extension(usage, critical=True)
        if usages:
            named = [x509.ObjectIdentifier(usage) for usage in usages]
            builder = builder.add_extension(x509.ExtendedKeyUsage(named), critical=False)
        if extension is not None:
            builder = builder.add_extension(extension, critical=critical)
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

    with pytest.raises(VerificationRefused, match="not one of the given CAs"):
        endorsement.check(leaf(Party("issuer"), ek), trusted, NOW)


def test_issuer_that_may_not_certify_leads_nowhere(parties: tuple[Party, Party, Party]) -> None:
    root, issuer, ek = parties
    trusted = [root.certify(issuer, cert_sign=False), root.certify(root)]

    with pytest.raises(VerificationRefused, match="not one of the given CAs"):
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


def test_path_length_counts_the_authorities_below(parties: tuple[Party, Party, Party]) -> None:
    root, issuer, ek = parties
    middle = Party("middle")
    path = [root.certify(middle), middle.certify(issuer, path_length=0)]

    endorsement.check(leaf(issuer, ek), [*path, root.certify(root, path_length=2)], NOW)
    for limit in (0, 1):
        trusted = [*path, root.certify(root, path_length=limit)]
        with pytest.raises(VerificationRefused, match=f"allows {limit} CAs below it"):
            endorsement.check(leaf(issuer, ek), trusted, NOW)


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0")
NAMES = x509.NameConstraints(
    permitted_subtrees=[x509.DNSName("example.com")], excluded_subtrees=None
)
POLICIES = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)


@pytest.mark.parametrize("place", ["leaf", "issuer", "root"])
@pytest.mark.parametrize(
    ("extension", "critical"),
    [
        (UNKNOWN, True),
        (NAMES, True),
        (NAMES, False),
        (POLICIES, True),
        (x509.InhibitAnyPolicy(0), True),
    ],
    ids=["unknown", "names", "names-not-critical", "policies", "inhibit"],
)
def test_limit_that_is_not_understood_is_refused(
    parties: tuple[Party, Party, Party],
    place: str,
    extension: x509.ExtensionType,
    *,
    critical: bool,
) -> None:
    root, issuer, ek = parties

    def made(by: Party, subject: Party, name: str) -> x509.Certificate:
        chosen = extension if name == place else None
        authority, usages = name != "leaf", [EK] if name == "leaf" else []
        return by.certify(
            subject, authority=authority, usages=usages, extension=chosen, critical=critical
        )

    trusted = [made(root, issuer, "issuer"), made(root, root, "root")]
    with pytest.raises(VerificationRefused, match="which is not supported"):
        endorsement.check(der(made(issuer, ek, "leaf")), trusted, NOW)


def test_unknown_extension_that_is_not_critical_is_passed_over(
    parties: tuple[Party, Party, Party],
) -> None:
    root, issuer, ek = parties
    trusted = [root.certify(issuer, extension=UNKNOWN, critical=False), root.certify(root)]

    assert endorsement.check(leaf(issuer, ek), trusted, NOW).anchor == "CN=root"


def test_authority_for_another_use_is_refused(parties: tuple[Party, Party, Party]) -> None:
    root, issuer, ek = parties

    for usage in (EK, "2.5.29.37.0"):
        trusted = [root.certify(issuer, usages=[usage]), root.certify(root)]
        endorsement.check(leaf(issuer, ek), trusted, NOW)
    trusted = [root.certify(issuer, usages=["1.3.6.1.5.5.7.3.1"]), root.certify(root)]
    with pytest.raises(VerificationRefused, match="is limited to"):
        endorsement.check(leaf(issuer, ek), trusted, NOW)


CLOSE = (1037, 1697)


def close_primes() -> rsa.RSAPrivateKey:
    """Make a key of the two smallest primes above 3 * 2^1022."""
    p, q = ((0b11 << 1022) + each for each in CLOSE)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public
    ).private_key()


WEAK: dict[str, tuple[str, Callable[[], Key]]] = {
    "small": (
        "RSA with 1024 bits",
        lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - the weak one
    ),
    "exponent": ("the public exponent 3", lambda: rsa.generate_private_key(3, 2048)),
    "curve": ("the curve secp192r1", lambda: ec.generate_private_key(ec.SECP192R1())),
    "close primes": ("two primes so close", close_primes),
}


@pytest.mark.parametrize("kind", WEAK)
@pytest.mark.parametrize("place", ["ek", "issuer", "root"])
def test_weak_key_is_refused_wherever_it_is(kind: str, place: str) -> None:
    names = ("root", "issuer", "ek")
    reason, make = WEAK[kind]
    root, issuer, ek = (Party(name, make() if name == place else None) for name in names)
    trusted = [root.certify(issuer), root.certify(root)]

    with pytest.raises(VerificationRefused, match=f"the key of CN={place} has {reason}"):
        endorsement.check(leaf(issuer, ek), trusted, NOW)
