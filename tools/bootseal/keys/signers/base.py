# SPDX-License-Identifier: MIT
"""Whatever can sign with a private key: a file, a token, a remote service.

A signer is handed a digest, never a payload: a FIT of hundreds of megabytes is hashed where it
lies, and a token or remote service sees 32 to 64 bytes. `open` finds the signer for a source.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from bootseal.errors import FormatError, ToolError, UsageError
from bootseal.keys import public, published
from bootseal.keys.algorithms import Padding
from bootseal.keys.manifest import containing
from bootseal.keys.public import HASHES, PublicKey, der_to_raw, first_line, verify_digest
from bootseal.keys.signers import pkcs11_uri
from bootseal.keys.signers.pin import OTHERS_MAY, PASSPHRASE_VARIABLE, SecretSource

if TYPE_CHECKING:
    from bootseal.keys.algorithms import Algorithm

__all__ = [
    "ARN",
    "OTHERS_MAY",
    "FileSigner",
    "PrivateKey",
    "PublicKey",
    "Signer",
    "open",
    "parse_private",
    "read_reference",
    "verify_digest",
    "write_reference",
]

KMS_SCHEME: Final = "awskms:///"
ARN: Final = "arn:"
REFERENCE: Final = "bootseal-signer:"
_REFERENCE_SIZE: Final = 4096

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Signer(Protocol):
    """Something that signs digests with one private key: a file, a token, a remote service."""

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key that signs."""
        ...

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Sign a digest made with the algorithm's hash.

        Returns:
            RSA: big-endian, as long as the modulus. ECDSA: r, then s, each big-endian and as
            long as the curve's field.

        Raises:
            UsageError: The key or the digest does not fit the algorithm.
        """
        ...


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
            FormatError: It holds no private key of a supported kind.
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


def open(  # noqa: A001 - reads as signer.open(...), as gzip.open does
    source: str, secret: SecretSource | None = None, *, module: Path | None = None
) -> Signer:
    """Find the signer for a source.

    Args:
        source: A private key file, `pkcs11:...` (RFC 7512), `awskms:///...`, or an AWS ARN. A file
            that holds `bootseal-signer: <source>` stands for that source.
        secret: Where the PIN or passphrase comes from; by default the environment only.
        module: PKCS#11 library, unless the URI names one.

    Raises:
        UsageError: There is no such key, its secret is wrong or missing, it was revoked in its
            key directory, or it is a published test key outside of a development profile.
        FormatError: The file holds no usable private key.
        ToolError: The token or service fails.
    """
    secret = secret or SecretSource()
    if source.startswith((pkcs11_uri.SCHEME, KMS_SCHEME, ARN)):
        signer = _open_remote(source, secret, module)
        published.refuse(signer.public_key, source.partition("?")[0])
        return signer
    path = Path(source)
    opened: Signer
    if reference := read_reference(path):
        opened = _open_remote(reference, secret, module)
    else:
        opened = _open_file(path, secret)
    manifest = containing(path)
    if manifest:
        manifest.refuse_revoked(opened.public_key, path)
    if not (manifest and manifest.development):
        published.refuse(opened.public_key, str(path))
    return opened


def write_reference(source: str) -> bytes:
    """Return the content of a file that stands for a key in a token or service.

    Raises:
        UsageError: The source is a file, or a malformed URI.
    """
    if source.startswith(pkcs11_uri.SCHEME):
        pkcs11_uri.parse(source)
    elif not source.startswith((KMS_SCHEME, ARN)):
        raise UsageError(f"{source!r} is no token or service: expected pkcs11:... or awskms:///...")
    return f"{REFERENCE} {source}\n".encode()


def read_reference(path: Path) -> str:
    """Return the source a file stands for, empty when it is another file or not there."""
    try:
        with path.open("rb") as file:
            line = file.read(_REFERENCE_SIZE)
    except (FileNotFoundError, IsADirectoryError):
        return ""
    if not line.startswith(REFERENCE.encode()):
        return ""
    return line.decode(errors="replace").splitlines()[0].removeprefix(REFERENCE).strip()


def _open_remote(source: str, secret: SecretSource, module: Path | None) -> Signer:
    """Load what talks to a token or service only now: it needs packages that are optional."""
    if source.startswith(pkcs11_uri.SCHEME):
        uri = pkcs11_uri.parse(source)
        try:
            from bootseal.keys.signers import pkcs11  # noqa: PLC0415
        except ImportError as error:
            raise _not_installed("tokens", "python-pkcs11", "hsm") from error
        return pkcs11.open_token(uri, secret, module)
    if source.startswith((KMS_SCHEME, ARN)):
        try:
            from bootseal.keys.signers import kms  # noqa: PLC0415
        except ImportError as error:
            raise _not_installed("AWS KMS", "boto3", "aws") from error
        key_id = source.removeprefix(KMS_SCHEME)
        if not key_id:
            raise UsageError(f"{source!r} names no key: expected {KMS_SCHEME}alias/NAME or an ARN")
        return kms.open_kms(key_id)
    raise UsageError(f"a {REFERENCE} line names a source that is neither pkcs11: nor awskms:///")


def _not_installed(where: str, package: str, extra: str) -> ToolError:
    return ToolError(
        f"keys in {where} need the Python package {package}, which is not installed",
        hint=f"pip install 'bootseal[{extra}]'",
    )


def _open_file(path: Path, secret: SecretSource) -> FileSigner:
    pem = _read_private(path)
    encrypted = b"ENCRYPTED" in pem
    passphrase = secret.get(f"the passphrase of {path}", PASSPHRASE_VARIABLE) if encrypted else None
    return FileSigner(parse_private(pem, str(path), passphrase))


def parse_private(pem: bytes, where: str, passphrase: bytes | None = None) -> PrivateKey:
    """Read a private key from PEM; `where` names it in errors.

    Raises:
        UsageError: Its passphrase is missing, wrong, or given for a plain key.
        FormatError: It is no private key of a supported kind.
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
        raise FormatError(f"{where} holds no private key: {first_line(error)}") from error
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
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = file.read()
    except FileNotFoundError:
        raise UsageError(
            f"there is no private key at {path}",
            hint="expected a PEM file, pkcs11:... or awskms:///...",
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory: expected a private key file") from None
    if b"BEGIN PUBLIC KEY" in pem or b"BEGIN CERTIFICATE" in pem:
        raise UsageError(f"{path} holds a public key or certificate: signing needs the private key")
    if b"PRIVATE KEY" in pem and mode & OTHERS_MAY:
        raise UsageError(
            f"{path} has mode {mode:04o}: a private key must not be accessible to other users",
            hint=f"chmod 600 {path}",
        )
    return pem
