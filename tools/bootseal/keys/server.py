# SPDX-License-Identifier: MIT
"""Certificates of servers that run next to a device in a scenario, and the authority for them.

A device of the reference build trusts that authority for its updates; it protects nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from bootseal.errors import UsageError
from bootseal.files import read_bounded
from bootseal.keys.certificate import usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BENCH: Final = "bench"
"""Folder of a build directory with the authority for servers."""
_KEY, _CERTIFICATE = "ca.key", "ca.pem"
_NAME: Final = "DEV bench"
_YEARS: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Who certifies servers.

    Attributes:
        key: Its key.
        certificate: Its certificate.
    """

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate in PEM form."""
        return self.certificate.public_bytes(Encoding.PEM)

    @classmethod
    def read(cls, directory: Path) -> Authority:
        """Return the authority of a build directory.

        Raises:
            UsageError: It has none.
        """
        folder = directory / BENCH
        try:
            key = load_pem_private_key(read_bounded(folder / _KEY), None)
            certificate = x509.load_pem_x509_certificate(read_bounded(folder / _CERTIFICATE))
        except (FileNotFoundError, ValueError) as error:
            raise UsageError(
                f"{folder} has no authority for the servers of scenarios: {error}",
                hint="bootseal reference build makes one",
            ) from error
        return cls(key=cast("ec.EllipticCurvePrivateKey", key), certificate=certificate)

    @classmethod
    def made(cls, directory: Path, start: int) -> Authority:
        """Return the authority of a build directory, made there if it has none.

        Args:
            directory: The build directory.
            start: Seconds since 1970 from which on it is valid, or now if that is earlier.
        """
        folder = directory / BENCH
        if not (folder / _CERTIFICATE).exists():
            folder.mkdir(exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            begun = (
                _begun(_NAME, start)
                .issuer_name(_subject(_NAME))
                .public_key(key.public_key())
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(usage("key_cert_sign"), critical=True)
                .add_extension(_subject_key(key), critical=False)
            )
            private = folder / _KEY
            private.touch(mode=0o600)
            private.write_bytes(_private(key))
            signed = begun.sign(key, hashes.SHA256())
            (folder / _CERTIFICATE).write_bytes(signed.public_bytes(Encoding.PEM))
        return cls.read(directory)

    def issue(self, names: Sequence[str]) -> tuple[bytes, bytes]:
        """Make a key and its certificate for a server, valid from when the authority is.

        Args:
            names: The server's names in DNS.

        Returns:
            The key and the certificate, in PEM form.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        start = int(self.certificate.not_valid_before_utc.timestamp())
        certificate = (
            _begun(names[0], start)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
            .add_extension(_subject_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return _private(key), certificate.public_bytes(Encoding.PEM)


def make(names: Sequence[str], start: int) -> tuple[bytes, bytes]:
    """Make a key and its own certificate for a server.

    Args:
        names: The server's names in DNS.
        start: Seconds since 1970 from which on it is valid, or now if that is earlier. It ends ten
            years from now.

    Returns:
        The key and the certificate, in PEM form.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _begun(names[0], start)
        .issuer_name(_subject(names[0]))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _private(key), certificate.public_bytes(Encoding.PEM)


def _begun(name: str, start: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, datetime.fromtimestamp(start, UTC)))
        .not_valid_after(now + _YEARS)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _subject_key(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
