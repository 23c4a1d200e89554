# SPDX-License-Identifier: MIT
"""Placeholder private keys that let mkimage run where the real private key cannot be read.

mkimage takes the public half of an RSA key from the certificate next to it, which may be that of
the real key; for an ECDSA key it knows one file only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bootseal.keys import public
from bootseal.keys.certificate import make_private

if TYPE_CHECKING:
    from bootseal.keys.algorithms import KeyKind
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.file import PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """Signs in place of the key `real`; `public_key` is its own public half."""

    real: PublicKey
    public_key: PublicKey


def write(directory: Path, hint: str, real: PublicKey) -> Placeholder:
    """Write a placeholder for a key, into the files where mkimage looks for it.

    Args:
        directory: Private to its owner, and removed by the caller.
        hint: The `key-name-hint`.
        real: The key that it replaces, whose kind it has.
    """
    private = _private(real.kind)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if real.kind.is_rsa:
        (directory / f"{hint}.key").write_bytes(pem)
        (directory / f"{hint}.crt").write_bytes(_certificate(private, real))
    else:
        (directory / f"{hint}.pem").write_bytes(pem)
    return Placeholder(real=real, public_key=public.from_crypto(private.public_key()))


@cache
def _private(kind: KeyKind) -> PrivateKey:
    return make_private(kind)


def _certificate(private: PrivateKey, real: PublicKey) -> bytes:
    """Wrap the real key into what looks like a certificate; its signature is not checked."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "placeholder")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, real.crypto, x509.random_serial_number(), now, now
    )
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)
