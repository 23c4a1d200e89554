# SPDX-License-Identifier: MIT
"""TPM 2.0 structures that a device sends: public areas, statements and signatures, strictly read.

Everything is big-endian. Sizes are bounded by what the structures can hold, algorithms are those
that this project verifies, and no byte may be left over.

Spec: TCG TPM 2.0 Library, part 2: TPMT_PUBLIC 12.2.4, TPMS_ATTEST 10.12.12, TPMT_SIGNATURE 11.3.4.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple, TypeAlias

from bootseal.errors import FormatError
from bootseal.formats.tpm.policy import PCR_COUNT

HASHES: Final = {0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
"""Hash algorithms by TPM_ALG_ID. SHA-1 is deliberately none of them."""

_MAGIC: Final = b"\xffTCG"
_NULL: Final = 0x0010
_CURVES: Final = {0x0003: ("prime256v1", 32), 0x0004: ("secp384r1", 48)}
_DEFAULT_EXPONENT: Final = 65537
_MAX_MODULUS: Final = 512
_MAX_COORDINATE: Final = 48
_MAX_NAME: Final = 66  # nameAlg and a SHA-512 digest
_MAX_DIGEST: Final = 64
_MAX_BITMAP: Final = 4
_MAX_SELECTIONS: Final = 4


class Kind(IntEnum):
    """TPM_ALG_ID of a key."""

    RSA = 0x0001
    ECC = 0x0023


class Scheme(IntEnum):
    """TPM_ALG_ID of a signature scheme."""

    RSASSA = 0x0014
    RSAPSS = 0x0016
    ECDSA = 0x0018


class Attested(IntEnum):
    """TPM_ST of what a TPM states (part 2, 6.9)."""

    CERTIFY = 0x8017
    QUOTE = 0x8018
    CREATION = 0x801A


class Attribute(IntFlag):
    """The bits of TPMA_OBJECT that decide what a key can do (part 2, 8.3)."""

    FIXED_TPM = 1 << 1
    FIXED_PARENT = 1 << 4
    SENSITIVE_DATA_ORIGIN = 1 << 5
    USER_WITH_AUTH = 1 << 6
    NO_DA = 1 << 10
    RESTRICTED = 1 << 16
    DECRYPT = 1 << 17
    SIGN = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaKey:
    """The unique part of an RSA key."""

    modulus: int
    exponent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EccKey:
    """The unique part of an ECC key; `curve` as OpenSSL calls it."""

    curve: str
    x: int
    y: int


Key: TypeAlias = RsaKey | EccKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Public:
    """A public area.

    Attributes:
        attributes: TPMA_OBJECT.
        policy: Digest of the policy that the key can be used by; empty for none.
        scheme: How the key signs, None when the caller may choose.
        scheme_hash: The hash it signs with, "" when the caller may choose.
        key: The key itself.
        name: nameAlg and the digest of the structure: what a TPM knows the key by.
    """

    attributes: int
    policy: bytes
    scheme: Scheme | None
    scheme_hash: str
    key: Key
    name: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A TPMS_ATTEST of a quote.

    Attributes:
        signer: Qualified name of the key that signed.
        nonce: What the verifier sent (extraData).
        clock: Milliseconds that the TPM has been powered, over its whole life.
        reset_count: How often it was reset.
        restart_count: How often it was resumed or restarted without a reset.
        safe: Whether the clock cannot have been seen before.
        firmware: The TPM's own firmware version.
        selection: Bank and PCR indices in ascending order, as selected.
        pcr_digest: Hash over the selected values, by the hash of the signature.
    """

    signer: bytes
    nonce: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware: int
    selection: tuple[tuple[str, tuple[int, ...]], ...]
    pcr_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A TPMS_ATTEST about one object.

    Attributes:
        kind: CREATION if the TPM made the object, CERTIFY if it only holds it.
        nonce: What the verifier sent (extraData).
        reset_count: How often the TPM was reset.
        restart_count: How often it was resumed or restarted without a reset.
        name: The object's name.
    """

    kind: Attested
    nonce: bytes
    reset_count: int
    restart_count: int
    name: bytes


class _Head(NamedTuple):
    """What all of TPMS_ATTEST begin with."""

    kind: int
    signer: bytes
    nonce: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature.

    Attributes:
        scheme: RSASSA, RSAPSS or ECDSA.
        hash_name: What the message was hashed with.
        numbers: One big-endian number for RSA; r and s for ECDSA.
    """

    scheme: Scheme
    hash_name: str
    numbers: tuple[bytes, ...]


class _Reader:
    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.offset = 0
        self.what = what

    def take(self, size: int, field: str) -> bytes:
        left = len(self.data) - self.offset
        if size > left:
            raise self.error(f"{field} needs {size} bytes, {left} are left")
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def number(self, size: int, field: str) -> int:
        return int.from_bytes(self.take(size, field))

    def sized(self, field: str, most: int) -> bytes:
        size = self.number(2, f"size of {field}")
        if size > most:
            raise self.error(f"{field} has {size} bytes: expected at most {most}")
        return self.take(size, field)

    def hash_name(self, field: str) -> str:
        number = self.number(2, field)
        if number not in HASHES:
            known = ", ".join(HASHES.values())
            raise self.error(f"{field} is {number:#06x}: expected one of {known}")
        return HASHES[number]

    def end(self) -> None:
        if left := len(self.data) - self.offset:
            raise self.error(f"{left} bytes are left over")

    def error(self, message: str) -> FormatError:
        return FormatError(f"{self.what}, offset {self.offset}: {message}")


def parse_public(data: bytes, what: str = "public area") -> Public:
    """Read a TPMT_PUBLIC of an RSA or ECC key.

    Layout: u16 type, u16 nameAlg, u32 attributes, TPM2B authPolicy, then by type the symmetric
    algorithm, scheme, size or curve, exponent or KDF, and the key.

    Raises:
        FormatError: It is not a public area, or of an algorithm that is not supported.
    """
    reader = _Reader(data, what)
    kind = reader.number(2, "type")
    name_hash = reader.hash_name("name algorithm")
    attributes = reader.number(4, "attributes")
    policy = reader.sized("policy", _MAX_DIGEST)
    if reader.number(2, "symmetric algorithm") != _NULL:
        reader.take(4, "symmetric parameters")
    scheme, scheme_hash = _scheme(reader)
    key: Key
    match kind:
        case Kind.RSA:
            key = _rsa_key(reader)
        case Kind.ECC:
            key = _ecc_key(reader)
        case _:
            raise reader.error(f"type {kind:#06x}: expected an RSA or ECC key")
    reader.end()
    algorithm = next(number for number, name in HASHES.items() if name == name_hash)
    return Public(
        attributes=attributes,
        policy=policy,
        scheme=scheme,
        scheme_hash=scheme_hash,
        key=key,
        name=struct.pack(">H", algorithm) + hashlib.new(name_hash, data).digest(),
    )


def _scheme(reader: _Reader) -> tuple[Scheme | None, str]:
    number = reader.number(2, "scheme")
    if number == _NULL:
        return None, ""
    if number not in list(Scheme):
        raise reader.error(f"scheme {number:#06x}: expected RSASSA, RSAPSS or ECDSA")
    return Scheme(number), reader.hash_name("hash of the scheme")


def _rsa_key(reader: _Reader) -> RsaKey:
    bits = reader.number(2, "key size")
    exponent = reader.number(4, "exponent") or _DEFAULT_EXPONENT
    modulus = int.from_bytes(reader.sized("modulus", _MAX_MODULUS))
    if modulus.bit_length() != bits:
        raise reader.error(f"the modulus has {modulus.bit_length()} bits: declared are {bits}")
    return RsaKey(modulus=modulus, exponent=exponent)


def _ecc_key(reader: _Reader) -> EccKey:
    curve, size = _curve(reader)
    if reader.number(2, "KDF") != _NULL:
        reader.take(2, "hash of the KDF")
    x, y = (int.from_bytes(reader.sized(f"coordinate {n}", size)) for n in "xy")
    return EccKey(curve=curve, x=x, y=y)


def _curve(reader: _Reader) -> tuple[str, int]:
    number = reader.number(2, "curve")
    if number not in _CURVES:
        raise reader.error(f"curve {number:#06x}: expected P-256 or P-384")
    return _CURVES[number]


def parse_quote(data: bytes) -> Quote:
    """Read a TPMS_ATTEST that a TPM2_Quote made.

    Layout: magic, u16 type, TPM2B name, TPM2B extraData, u64 clock, u32 resetCount, u32
    restartCount, u8 safe, u64 firmwareVersion, TPML_PCR_SELECTION, TPM2B digest.

    Raises:
        FormatError: It is none.
    """
    reader = _Reader(data, "quote")
    head = _head(reader, Attested.QUOTE)
    selection = _selection(reader)
    digest = reader.sized("PCR digest", _MAX_DIGEST)
    reader.end()
    return Quote(
        signer=head.signer,
        nonce=head.nonce,
        clock=head.clock,
        reset_count=head.reset_count,
        restart_count=head.restart_count,
        safe=head.safe,
        firmware=head.firmware,
        selection=selection,
        pcr_digest=digest,
    )


def parse_statement(data: bytes) -> Statement:
    """Read a TPMS_ATTEST that a TPM2_CertifyCreation or a TPM2_Certify made.

    Layout: as `parse_quote` up to the firmware version, then TPM2B name, and TPM2B digest of the
    creation data or qualified name (part 2, 10.12.7 and 10.12.3).

    Raises:
        FormatError: It is neither.
    """
    reader = _Reader(data, "statement")
    head = _head(reader, Attested.CREATION, Attested.CERTIFY)
    name = reader.sized("name", _MAX_NAME)
    if head.kind == Attested.CREATION:
        reader.sized("creation hash", _MAX_DIGEST)
    else:
        reader.sized("qualified name of the object", _MAX_NAME)
    reader.end()
    return Statement(
        kind=Attested(head.kind),
        nonce=head.nonce,
        reset_count=head.reset_count,
        restart_count=head.restart_count,
        name=name,
    )


def _head(reader: _Reader, *kinds: Attested) -> _Head:
    if (magic := reader.take(4, "magic")) != _MAGIC:
        raise reader.error(f"the magic is {magic.hex()}: a TPM writes {_MAGIC.hex()}")
    if (kind := reader.number(2, "type")) not in kinds:
        wanted = " or ".join(f"{each:#06x}" for each in kinds)
        raise reader.error(f"type {kind:#06x}: a {reader.what} is {wanted}")
    signer = reader.sized("qualified name", _MAX_NAME)
    nonce = reader.sized("nonce", _MAX_DIGEST)
    clock = reader.number(8, "clock")
    resets, restarts = reader.number(4, "reset count"), reader.number(4, "restart count")
    if (safe := reader.number(1, "safe")) > 1:
        raise reader.error(f"the flag 'safe' is {safe}: expected 0 or 1")
    firmware = reader.number(8, "firmware version")
    return _Head(kind, signer, nonce, clock, resets, restarts, bool(safe), firmware)


def _selection(reader: _Reader) -> tuple[tuple[str, tuple[int, ...]], ...]:
    count = reader.number(4, "number of PCR selections")
    if count > _MAX_SELECTIONS:
        raise reader.error(f"{count} PCR selections: expected at most {_MAX_SELECTIONS}")
    found = []
    for _ in range(count):
        bank = reader.hash_name("PCR bank")
        size = reader.number(1, "size of the PCR bitmap")
        if size > _MAX_BITMAP:
            raise reader.error(f"a PCR bitmap of {size} bytes: expected at most {_MAX_BITMAP}")
        bitmap = int.from_bytes(reader.take(size, "PCR bitmap"), "little")
        pcrs = tuple(pcr for pcr in range(8 * size) if bitmap >> pcr & 1)
        if pcrs and pcrs[-1] >= PCR_COUNT:
            raise reader.error(f"PCR {pcrs[-1]} is selected: expected less than {PCR_COUNT}")
        found.append((bank, pcrs))
    return tuple(found)


def parse_signature(data: bytes) -> Signature:
    """Read a TPMT_SIGNATURE.

    Layout: u16 scheme, u16 hash, then one TPM2B for RSA, two for ECDSA.

    Raises:
        FormatError: It is not a signature, or of a scheme that is not supported.
    """
    reader = _Reader(data, "signature")
    scheme, hash_name = _scheme(reader)
    if scheme is None:
        raise reader.error("there is no signature, only TPM_ALG_NULL")
    if scheme is Scheme.ECDSA:
        numbers = tuple(reader.sized(f"number {n}", _MAX_COORDINATE) for n in "rs")
    else:
        numbers = (reader.sized("signature", _MAX_MODULUS),)
    reader.end()
    return Signature(scheme=scheme, hash_name=hash_name, numbers=numbers)
