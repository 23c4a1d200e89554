# SPDX-License-Identifier: MIT
"""Signs with a private key in a file."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from bootseal.errors import FormatError, UsageError
from bootseal.files import SMALL, opened, read_rest
from bootseal.formats.kinds.kind import PRIVATE_KEYS, SIGNING_KEY, Kind
from bootseal.formats.kinds.recognise import check, recognise
from bootseal.keys import public
from bootseal.keys.algorithms import Padding
from bootseal.keys.public import HASHES, der_to_raw, first_line
from bootseal.keys.signers import schemes
from bootseal.keys.signers.pin import OTHERS_MAY, PASSPHRASE_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.pin import SecretSource

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class FileSigner:
    """Signs with a private key read from a file."""

    def __init__(self, key: PrivateKey) -> None:
        self._private = key
        self._public = public.from_crypto(key.public_key())

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None = None) -> FileSigner:
        """Read a private key in PEM form (PKCS#8, encrypted or not).

        Raises:
            UsageError: The file is missing, readable by others, a public key, or its passphrase
                is missing or wrong.
            FormatError: It does not hold a private key of a supported kind.
        """
        return cls(parse_private(_read_private(path), str(path), passphrase))

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key."""
        return self._public

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Sign a digest.

        PSS uses a salt as long as the digest, as U-Boot's signer does; ECDSA derives its nonce
        from key and digest, so that signing again gives the same bytes (RFC 6979).

        Raises:
            UsageError: The key or the digest does not fit the algorithm.
        """
        public.check_request(self._public, digest, algorithm)
        prehashed = utils.Prehashed(HASHES[algorithm.hash_name])
        if isinstance(self._private, rsa.RSAPrivateKey):
            return self._private.sign(digest, _signing_padding(algorithm), prehashed)
        scheme = ec.ECDSA(prehashed, deterministic_signing=True)
        return der_to_raw(self._private.sign(digest, scheme), algorithm)


def open_file(path: Path, secret: SecretSource) -> FileSigner:
    """Open a private key as a signer; see `read_key`."""
    return FileSigner(read_key(path, secret))


def read_key(path: Path, secret: SecretSource) -> PrivateKey:
    """Read a private key, and ask for its passphrase when it is encrypted.

    Raises:
        UsageError: The file is missing, readable by others, a public key, or its passphrase is
            missing or wrong.
        FormatError: It does not hold a private key of a supported kind.
    """
    pem = _read_private(path)
    encrypted = b"ENCRYPTED" in pem
    passphrase = secret.get(f"the passphrase of {path}", PASSPHRASE_VARIABLE) if encrypted else None
    return parse_private(pem, str(path), passphrase)


def parse_private(pem: bytes, where: str, passphrase: bytes | None = None) -> PrivateKey:
    """Read a private key from PEM; `where` names it in errors.

    Raises:
        UsageError: Its passphrase is missing, wrong, or given for a plain key.
        FormatError: It is not a private key of a supported kind.
    """
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except TypeError as error:
        if passphrase is None:
            raise UsageError(f"{where} is encrypted: it needs its passphrase") from error
        raise UsageError(f"{where} is not encrypted, but a passphrase was given") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if b"ENCRYPTED" in pem:
            raise UsageError(
                f"{where} cannot be decrypted: the passphrase is wrong or the file is damaged"
            ) from error
        raise FormatError(f"{where} does not hold a private key: {first_line(error)}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise FormatError(f"{where} holds {type(key).__name__}: expected an RSA or ECDSA key")
    try:
        public.from_crypto(key.public_key())
    except FormatError as error:
        raise FormatError(f"{where}: {error.message}") from error
    return key


def _signing_padding(algorithm: Algorithm) -> padding.AsymmetricPadding:
    match algorithm.padding:
        case Padding.PKCS1:
            return padding.PKCS1v15()
        case Padding.PSS:
            return padding.PSS(
                mgf=padding.MGF1(HASHES[algorithm.hash_name]),
                salt_length=padding.PSS.DIGEST_LENGTH,
            )


def _read_private(path: Path) -> bytes:
    try:
        with opened(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = read_rest(file, str(path), limit=SMALL)
    except FileNotFoundError:
        raise UsageError(
            f"there is no private key at {path}",
            hint=f"expected {schemes.KEY_URI}",
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory: expected a private key file") from None
    kind = recognise(pem)
    if kind in {Kind.PUBLIC_KEY, Kind.CERTIFICATE}:
        raise UsageError(f"{path} holds a public key or certificate: expected the private key")
    check(pem, SIGNING_KEY, str(path))
    if kind in PRIVATE_KEYS and mode & OTHERS_MAY:
        raise UsageError(
            f"{path} has mode {mode:04o}: a private key must not be accessible to other users",
            hint=f"chmod 600 {path}",
        )
    return pem
