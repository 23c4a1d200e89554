# SPDX-License-Identifier: MIT
"""Keys that live in a TPM: check what they signed, and make credentials only they can open.

Spec: TCG TPM 2.0 Library, part 1: credential protection 24, KDFa and KDFe 11.4.10, secret sharing
B.10.4 (RSA) and C.6.4 (ECC); TCG EK Credential Profile 2.5, annex B (templates).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from bootseal.errors import UsageError, VerificationRefused
from bootseal.formats.tpm.structures import (
    Attribute,
    EccKey,
    Key,
    Public,
    RsaKey,
    Scheme,
    Signature,
)
from bootseal.keys.algorithms import Algorithm, Padding
from bootseal.keys.public import EcPublicKey, PublicKey, RsaPublicKey, verify_digest

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:  # before cryptography 47
    from cryptography.hazmat.primitives.ciphers.modes import CFB


SECRET_SIZE: Final = 32
_REQUIRED: Final = (
    Attribute.FIXED_TPM
    | Attribute.FIXED_PARENT
    | Attribute.SENSITIVE_DATA_ORIGIN
    | Attribute.RESTRICTED
    | Attribute.SIGN
)
_IDENTITY: Final = b"IDENTITY\0"
_BLOCK: Final = 16
# tpm2-tools' own envelope: magic and version, not part of any specification.
_TOOLS_HEADER: Final = struct.pack(">II", 0xBADCC0DE, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """What the endorsement key's template fixes: its name algorithm, and bits of its AES key."""

    hash_name: str
    aes_bits: int


_TEMPLATES: Final = {
    "rsa2048": _Template(hash_name="sha256", aes_bits=128),
    "rsa3072": _Template(hash_name="sha384", aes_bits=256),
    "ecdsa256": _Template(hash_name="sha256", aes_bits=128),
    "ecdsa384": _Template(hash_name="sha384", aes_bits=256),
}
_HASHES: Final = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


def public_key(key: Key) -> PublicKey:
    """Return the key of a public area as a key of ours.

    Raises:
        FormatError: The numbers are not a key of a supported size.
    """
    if isinstance(key, RsaKey):
        return RsaPublicKey.from_numbers(key.modulus, key.exponent)
    return EcPublicKey.from_point(key.curve, key.x, key.y)


def check_attestation_key(public: Public) -> None:
    """Refuse a key that could sign anything but what its TPM says.

    Raises:
        VerificationRefused: It is not restricted to signing, not fixed to its TPM, was not made
            in it, or leaves its scheme open.
    """
    has = Attribute(public.attributes)
    lacking = _REQUIRED & ~has
    if lacking or Attribute.DECRYPT in has:
        wrong = f"lacks {lacking.name}" if lacking else "may decrypt"
        raise VerificationRefused(
            f"the attestation key has the attributes {public.attributes:#010x} and {wrong}: "
            "expected a restricted signing key fixed to its TPM"
        )
    if public.scheme is None or (public.scheme is Scheme.ECDSA) is not isinstance(
        public.key, EccKey
    ):
        raise VerificationRefused("the attestation key has no matching signature scheme")


def verify(public: Public, key: PublicKey, message: bytes, signature: Signature) -> None:
    """Check what a TPM signed.

    Args:
        public: Public area of the key, for its scheme.
        key: The same key, from `public_key`.
        message: What was signed.
        signature: The signature.

    Raises:
        VerificationRefused: It is not this key's signature over this message.
    """
    if (signature.scheme, signature.hash_name) != (public.scheme, public.scheme_hash):
        raise VerificationRefused(
            f"the signature is {signature.scheme.name} with {signature.hash_name}: the key signs "
            f"with {public.scheme.name if public.scheme else 'no scheme'} and {public.scheme_hash}"
        )
    size = key.bits // 8
    algorithm = Algorithm(
        hash_name=signature.hash_name,
        kind=key.kind,
        padding=Padding.PSS if signature.scheme is Scheme.RSAPSS else Padding.PKCS1,
    )
    # A TPM may leave out leading zeros.
    raw = b"".join(number.rjust(size, b"\0") for number in signature.numbers)
    verify_digest(key, algorithm.digest([message]), raw, algorithm)


def make_credential(
    endorsement: PublicKey,
    name: bytes,
    secret: bytes,
) -> bytes:
    """Wrap a secret so that only the TPM with this endorsement key opens it, for one other key.

    TPM2_MakeCredential without a TPM: a seed goes to the endorsement key (OAEP, or ECDH with an
    ephemeral key), and what is derived from it encrypts and authenticates the secret together
    with the name of the key it is for.

    Args:
        endorsement: The endorsement key, of a standard template.
        name: Name of the key that must be in the same TPM.
        secret: At most as long as the digest of the template.

    Returns:
        The file that tpm2_activatecredential reads.

    Raises:
        UsageError: No standard template has such a key, or the secret is too long.
    """
    template = _TEMPLATES.get(endorsement.kind)
    if template is None:
        known = ", ".join(_TEMPLATES)
        raise UsageError(f"the endorsement key is {endorsement.kind}: expected one of {known}")
    size = hashlib.new(template.hash_name).digest_size
    if len(secret) > size:
        raise UsageError(f"the secret has {len(secret)} bytes: expected at most {size}")
    seed, encrypted_seed = _share(endorsement, template, size)
    storage = kdfa(template.hash_name, seed, b"STORAGE", name, template.aes_bits)
    encryptor = Cipher(algorithms.AES(storage), CFB(bytes(_BLOCK))).encryptor()
    identity = encryptor.update(_sized(secret)) + encryptor.finalize()
    integrity = kdfa(template.hash_name, seed, b"INTEGRITY", b"", 8 * size)
    tag = hmac.digest(integrity, identity + name, template.hash_name)
    return _TOOLS_HEADER + _sized(_sized(tag) + identity) + _sized(encrypted_seed)


def _share(endorsement: PublicKey, template: _Template, size: int) -> tuple[bytes, bytes]:
    """Return a seed, and the form in which only the endorsement key can read it."""
    if isinstance(endorsement, RsaPublicKey):
        digest = _HASHES[template.hash_name]
        seed = os.urandom(size)
        oaep = padding.OAEP(padding.MGF1(digest), digest, _IDENTITY)
        return seed, endorsement.crypto.encrypt(seed, oaep)
    ephemeral = ec.generate_private_key(endorsement.curve.crypto)
    point = ephemeral.public_key().public_numbers()
    length = endorsement.bits // 8
    x, y = point.x.to_bytes(length), point.y.to_bytes(length)
    shared = ephemeral.exchange(ec.ECDH(), endorsement.crypto)
    seed = kdfe(template.hash_name, shared, _IDENTITY, x, endorsement.x.to_bytes(length))
    return seed, _sized(x) + _sized(y)


def kdfa(hash_name: str, key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """Derive bits from a key: HMAC in counter mode (NIST SP 800-108), part 1, 11.4.10.2."""
    out = b""
    counter = 0
    while len(out) * 8 < bits:
        counter += 1
        block = struct.pack(">I", counter) + label + b"\0" + context + struct.pack(">I", bits)
        out += hmac.digest(key, block, hash_name)
    return out[: bits // 8]


def kdfe(hash_name: str, shared: bytes, label: bytes, u: bytes, v: bytes) -> bytes:
    """Derive one digest from a shared point (NIST SP 800-56A), part 1, 11.4.10.3.

    `label` ends with its NUL; `u` and `v` are the x-coordinates of both parties.
    """
    return hashlib.new(hash_name, struct.pack(">I", 1) + shared + label + u + v).digest()


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data
