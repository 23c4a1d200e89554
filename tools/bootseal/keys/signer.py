# SPDX-License-Identifier: MIT
"""Public keys, and whatever can sign with the private half of one.

A signer is handed a digest, never a payload: a FIT of hundreds of megabytes is hashed where it
lies, and a token or remote service sees 32 to 64 bytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.keys.algorithms import KEY_BITS, Algorithm, Padding

if TYPE_CHECKING:
    from pathlib import Path

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """An RSA public key; make one with `from_pem` or `from_numbers`, which check it."""

    modulus: int
    exponent: int

    @classmethod
    def from_numbers(cls, modulus: int, exponent: int) -> PublicKey:
        """Make a key of its two numbers.

        Raises:
            FormatError: They are no RSA key of 2048, 3072 or 4096 bits.
        """
        if modulus.bit_length() not in KEY_BITS:
            sizes = ", ".join(map(str, KEY_BITS))
            raise FormatError(
                f"RSA modulus has {modulus.bit_length()} bits: expected one of {sizes}"
            )
        try:
            rsa.RSAPublicNumbers(exponent, modulus).public_key()
        except ValueError as error:
            raise FormatError(f"these numbers are no RSA public key: {error}") from error
        return cls(modulus=modulus, exponent=exponent)

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Read a SubjectPublicKeyInfo PEM (`BEGIN PUBLIC KEY`).

        Raises:
            FormatError: It is none, or not an RSA key of a supported size.
        """
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise FormatError(
                f"no public key in PEM form ({_first_line(error)}): expected BEGIN PUBLIC KEY"
            ) from error
        return cls.from_crypto(key)

    @classmethod
    def from_crypto(cls, key: object) -> PublicKey:
        """Wrap a key object of `cryptography`.

        Raises:
            FormatError: It is not an RSA key of a supported size.
        """
        if not isinstance(key, rsa.RSAPublicKey):
            raise FormatError(f"the public key is {type(key).__name__}: expected an RSA key")
        numbers = key.public_numbers()
        return cls.from_numbers(numbers.n, numbers.e)

    @property
    def bits(self) -> int:
        """Modulus size in bits."""
        return self.modulus.bit_length()

    @property
    def spki_der(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self._key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def pkcs1_der(self) -> bytes:
        """RSAPublicKey of PKCS#1, DER; systemd's `pkfp` is the SHA-256 of this form."""
        return self._key().public_bytes(Encoding.DER, PublicFormat.PKCS1)

    @property
    def pem(self) -> bytes:
        """SubjectPublicKeyInfo, PEM."""
        return self._key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the SubjectPublicKeyInfo DER as lower-case hex."""
        return hashlib.sha256(self.spki_der).hexdigest()

    def _key(self) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()


class Signer(Protocol):
    """Something that signs digests with one private key: a file, a token, a remote service."""

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key that signs."""
        ...

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Sign a digest made with the algorithm's hash.

        Returns:
            The signature, big-endian, as long as the modulus.

        Raises:
            UsageError: The key or the digest does not fit the algorithm.
        """
        ...


class FileSigner:
    """Signs with a private key read from a file."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._private = key
        self._public = PublicKey.from_crypto(key.public_key())

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None = None) -> FileSigner:
        """Read an RSA private key in PEM form (PKCS#8, encrypted or not).

        Raises:
            UsageError: The file is missing, readable by others, a public key, or its passphrase
                is missing or wrong.
            FormatError: It holds no RSA private key of a supported size.
        """
        return cls(parse_private(_read_private(path), str(path), passphrase))

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key."""
        return self._public

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Sign a digest; PSS uses a salt as long as the digest, as U-Boot's signer does.

        Raises:
            UsageError: The key or the digest does not fit the algorithm.
        """
        if self._public.bits != algorithm.bits:
            raise UsageError(
                f"the key has {self._public.bits} bits and cannot sign {algorithm.name}",
                hint=f"use the algorithm {algorithm.hash_name},rsa{self._public.bits}",
            )
        if len(digest) != algorithm.digest_size:
            raise UsageError(
                f"digest of {len(digest)} bytes for {algorithm.name}: "
                f"expected {algorithm.digest_size}"
            )
        prehashed = utils.Prehashed(_HASHES[algorithm.hash_name])
        return self._private.sign(digest, _signing_padding(algorithm), prehashed)


def parse_private(pem: bytes, where: str, passphrase: bytes | None = None) -> rsa.RSAPrivateKey:
    """Read an RSA private key from PEM; `where` names it in errors.

    Raises:
        UsageError: Its passphrase is missing, wrong, or given for a plain key.
        FormatError: It is no RSA private key of a supported size.
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
        raise FormatError(f"{where} holds no private key: {_first_line(error)}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise FormatError(f"{where} holds {type(key).__name__}: expected an RSA private key")
    if key.key_size not in KEY_BITS:
        sizes = ", ".join(map(str, KEY_BITS))
        raise FormatError(f"{where} is an RSA key of {key.key_size} bits: expected {sizes}")
    return key


def verify_digest(
    public_key: PublicKey, digest: bytes, signature: bytes, algorithm: Algorithm
) -> None:
    """Check an RSA signature over a digest; PSS accepts any salt length, as U-Boot does.

    Args:
        public_key: The key that must have signed.
        digest: Made with the algorithm's hash.
        signature: Big-endian, exactly as long as the modulus.
        algorithm: Hash, key size and padding.

    Raises:
        VerificationRefused: The signature is not one by this key over this digest.
    """
    if public_key.bits != algorithm.bits:
        raise VerificationRefused(
            f"the key has {public_key.bits} bits: {algorithm.name} needs {algorithm.bits}"
        )
    if len(digest) != algorithm.digest_size:
        raise VerificationRefused(
            f"digest of {len(digest)} bytes: {algorithm.name} needs {algorithm.digest_size}"
        )
    if len(signature) != algorithm.signature_size:
        raise VerificationRefused(
            f"signature of {len(signature)} bytes: {algorithm.name} has {algorithm.signature_size}"
        )
    hash_algorithm = _HASHES[algorithm.hash_name]
    if algorithm.padding is Padding.PSS:
        scheme: padding.AsymmetricPadding = padding.PSS(
            mgf=padding.MGF1(hash_algorithm), salt_length=padding.PSS.AUTO
        )
    else:
        scheme = padding.PKCS1v15()
    try:
        public_key._key().verify(  # noqa: SLF001 - same module
            signature, digest, scheme, utils.Prehashed(hash_algorithm)
        )
    except InvalidSignature as error:
        raise VerificationRefused(
            f"the {algorithm.name} signature is not by key {public_key.fingerprint()} "
            "over this content"
        ) from error


def _signing_padding(algorithm: Algorithm) -> padding.AsymmetricPadding:
    match algorithm.padding:
        case Padding.PKCS1:
            return padding.PKCS1v15()
        case Padding.PSS:
            return padding.PSS(
                mgf=padding.MGF1(_HASHES[algorithm.hash_name]),
                salt_length=padding.PSS.DIGEST_LENGTH,
            )


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = file.read()
    except FileNotFoundError:
        raise UsageError(
            f"there is no private key at {path}", hint=f"bootseal keys generate {path.parent}"
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["unreadable"])[0].rstrip(".")
