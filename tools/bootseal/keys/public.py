# SPDX-License-Identifier: MIT
"""Public keys: read, written, fingerprinted, and signatures checked with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootseal.errors import FormatError, ToolError, UsageError, VerificationRefused
from bootseal.keys.algorithms import KEY_BITS, Algorithm, KeyKind, Padding

HASHES: Final[dict[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


class Curve(StrEnum):
    """An elliptic curve, as the `ecdsa,curve` property of a key node spells it."""

    P256 = "prime256v1"
    P384 = "secp384r1"

    @property
    def crypto(self) -> ec.SECP256R1 | ec.SECP384R1:
        """The curve object of `cryptography`."""
        return ec.SECP256R1() if self is Curve.P256 else ec.SECP384R1()

    @property
    def bits(self) -> int:
        """Size of the field."""
        return 256 if self is Curve.P256 else 384


class _Encoded:
    """What both kinds of keys offer."""

    __slots__ = ()

    @property
    def crypto(self) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
        """The key as an object of `cryptography`."""
        raise NotImplementedError

    @property
    def spki_der(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self.crypto.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def pem(self) -> bytes:
        """SubjectPublicKeyInfo, PEM."""
        return self.crypto.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the SubjectPublicKeyInfo DER as lower-case hex."""
        return hashlib.sha256(self.spki_der).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaPublicKey(_Encoded):
    """An RSA public key of 2048, 3072 or 4096 bits."""

    modulus: int
    exponent: int

    @classmethod
    def from_numbers(cls, modulus: int, exponent: int) -> RsaPublicKey:
        """Make a key of its two numbers.

        Raises:
            FormatError: They are not an RSA key of 2048, 3072 or 4096 bits.
        """
        if modulus.bit_length() not in KEY_BITS:
            sizes = ", ".join(map(str, KEY_BITS))
            raise FormatError(
                f"RSA modulus has {modulus.bit_length()} bits: expected one of {sizes}"
            )
        try:
            rsa.RSAPublicNumbers(exponent, modulus).public_key()
        except ValueError as error:
            raise FormatError(f"these numbers are not an RSA public key: {error}") from error
        return cls(modulus=modulus, exponent=exponent)

    @property
    def kind(self) -> KeyKind:
        """RSA and the size."""
        return KeyKind(f"rsa{self.bits}")

    @property
    def bits(self) -> int:
        """Modulus size in bits."""
        return self.modulus.bit_length()

    @property
    def pkcs1_der(self) -> bytes:
        """RSAPublicKey of PKCS#1, DER; systemd's `pkfp` is the SHA-256 of this form."""
        return self.crypto.public_bytes(Encoding.DER, PublicFormat.PKCS1)

    @property
    def crypto(self) -> rsa.RSAPublicKey:
        """The key as an object of `cryptography`."""
        return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()


@dataclass(frozen=True, slots=True, kw_only=True)
class EcPublicKey(_Encoded):
    """A point on an elliptic curve."""

    curve: Curve
    x: int
    y: int

    @classmethod
    def from_point(cls, curve: str, x: int, y: int) -> EcPublicKey:
        """Make a key of a point.

        Args:
            curve: OpenSSL's name of it, which is also U-Boot's: `prime256v1` or `secp384r1`.
            x: First coordinate.
            y: Second coordinate.

        Raises:
            FormatError: The curve is another one, or the point is not on it.
        """
        try:
            known = Curve(curve)
        except ValueError:
            raise FormatError(
                f"the curve is {curve!r}: expected one of {', '.join(Curve)}"
            ) from None
        try:
            ec.EllipticCurvePublicNumbers(x, y, known.crypto).public_key()
        except ValueError as error:
            raise FormatError(f"the point is not on the curve {known}: {error}") from error
        return cls(curve=known, x=x, y=y)

    @property
    def kind(self) -> KeyKind:
        """ECDSA and the size."""
        return KeyKind.ECDSA256 if self.curve is Curve.P256 else KeyKind.ECDSA384

    @property
    def bits(self) -> int:
        """Field size in bits."""
        return self.kind.bits

    @property
    def crypto(self) -> ec.EllipticCurvePublicKey:
        """The key as an object of `cryptography`."""
        return ec.EllipticCurvePublicNumbers(self.x, self.y, self.curve.crypto).public_key()


PublicKey: TypeAlias = RsaPublicKey | EcPublicKey


def from_pem(pem: bytes) -> PublicKey:
    """Read a SubjectPublicKeyInfo PEM (`BEGIN PUBLIC KEY`).

    Raises:
        FormatError: It is none, or not a key of a supported kind.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FormatError(
            f"no public key in PEM form ({first_line(error)}): expected BEGIN PUBLIC KEY"
        ) from error
    return from_crypto(key)


def from_der(der: bytes) -> PublicKey:
    """Read a SubjectPublicKeyInfo in DER form.

    Raises:
        FormatError: It is none, or not a key of a supported kind.
    """
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FormatError(f"no SubjectPublicKeyInfo in DER form ({first_line(error)})") from error
    return from_crypto(key)


def from_crypto(key: object) -> PublicKey:
    """Wrap a key object of `cryptography`.

    Raises:
        FormatError: It is not a key of a supported kind.
    """
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return RsaPublicKey.from_numbers(numbers.n, numbers.e)
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_numbers()
        name = "prime256v1" if point.curve.name == "secp256r1" else point.curve.name
        return EcPublicKey.from_point(name, point.x, point.y)
    raise FormatError(
        f"the public key is {type(key).__name__}: expected an RSA key or one on P-256 or P-384"
    )


def check_request(public_key: PublicKey, digest: bytes, algorithm: Algorithm) -> None:
    """Refuse what the key cannot sign in a way that U-Boot verifies.

    Raises:
        UsageError: The key or the digest does not fit the algorithm.
    """
    if public_key.kind is not algorithm.kind:
        raise UsageError(
            f"the key is {public_key.kind} and cannot sign {algorithm.name}",
            hint=f"use the algorithm {algorithm.hash_name},{public_key.kind}",
        )
    if len(digest) != algorithm.digest_size:
        raise UsageError(
            f"digest of {len(digest)} bytes for {algorithm.name}: expected {algorithm.digest_size}"
        )


def accept_answer(
    public_key: PublicKey, digest: bytes, signature: bytes, algorithm: Algorithm, where: str
) -> bytes:
    """Return the signature that a token or a service made, once it has been verified.

    Raises:
        ToolError: It is not a signature by the key; `where` is what answered.
    """
    try:
        verify_digest(public_key, digest, signature, algorithm)
    except VerificationRefused as error:
        raise ToolError(
            f"{where} returned a wrong signature: {error.message}",
            hint="do not use this key until you know why",
        ) from error
    return signature


def verify_digest(
    public_key: PublicKey, digest: bytes, signature: bytes, algorithm: Algorithm
) -> None:
    """Check a signature over a digest; PSS accepts any salt length, as U-Boot does.

    Args:
        public_key: The key that must have signed.
        digest: Made with the algorithm's hash.
        signature: RSA: big-endian, exactly as long as the modulus. ECDSA: r, then s, each
            big-endian and as long as the curve's field.
        algorithm: Hash, kind of key and padding.

    Raises:
        VerificationRefused: The signature is not one by this key over this digest.
    """
    if public_key.kind is not algorithm.kind:
        raise VerificationRefused(f"the key is {public_key.kind}: {algorithm.name} needs another")
    if len(digest) != algorithm.digest_size:
        raise VerificationRefused(
            f"digest of {len(digest)} bytes: {algorithm.name} needs {algorithm.digest_size}"
        )
    if len(signature) != algorithm.signature_size:
        raise VerificationRefused(
            f"signature of {len(signature)} bytes: {algorithm.name} has {algorithm.signature_size}"
        )
    prehashed = utils.Prehashed(HASHES[algorithm.hash_name])
    key = public_key.crypto
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, _verifying_padding(algorithm), prehashed)
        else:
            key.verify(raw_to_der(signature), digest, ec.ECDSA(prehashed))
    except InvalidSignature as error:
        raise VerificationRefused(
            f"the {algorithm.name} signature is not by key {public_key.fingerprint()} "
            "over this content"
        ) from error


def raw_to_der(signature: bytes) -> bytes:
    """Turn r and s side by side, as U-Boot and PKCS#11 have them, into X9.62 DER."""
    half = len(signature) // 2
    return utils.encode_dss_signature(
        int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    )


def der_to_raw(signature: bytes, algorithm: Algorithm) -> bytes:
    """Turn X9.62 DER into r and s, each big-endian and as long as the curve's field.

    Raises:
        FormatError: It is not such a signature.
    """
    half = algorithm.signature_size // 2
    try:
        r, s = utils.decode_dss_signature(signature)
        return r.to_bytes(half) + s.to_bytes(half)
    except (ValueError, OverflowError) as error:
        raise FormatError(
            f"{len(signature)} bytes are not an {algorithm.name} signature in DER form"
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of what another library says, in our words where it has none."""
    if "MalformedFraming" in str(error):
        return "no BEGIN and END lines"
    return (str(error).splitlines() or ["unreadable"])[0].rstrip(".")


def _verifying_padding(algorithm: Algorithm) -> padding.AsymmetricPadding:
    match algorithm.padding:
        case Padding.PKCS1:
            return padding.PKCS1v15()
        case Padding.PSS:
            return padding.PSS(
                mgf=padding.MGF1(HASHES[algorithm.hash_name]), salt_length=padding.PSS.AUTO
            )
