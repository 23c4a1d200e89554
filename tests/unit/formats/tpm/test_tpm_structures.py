# SPDX-License-Identifier: MIT
"""Public areas, quotes and signatures: read strictly, and nothing else is accepted."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.errors import FormatError
from bootseal.formats.tpm import structures
from bootseal.formats.tpm.structures import Attribute, EccKey, RsaKey, Scheme

if TYPE_CHECKING:
    from collections.abc import Callable

ATTRIBUTES = 0x00050072


def sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


# P-256, ECDSA with SHA-256, as tpm2_createak makes it.
ECC = (
    struct.pack(">HHIH", 0x23, 0xB, ATTRIBUTES, 0)
    + struct.pack(">HHHHH", 0x10, 0x18, 0xB, 0x3, 0x10)
    + sized(b"\1" * 32)
    + sized(b"\2" * 32)
)
# RSA-2048 with the exponent left to its default.
RSA = (
    struct.pack(">HHIH", 0x1, 0xB, ATTRIBUTES, 0)
    + struct.pack(">HHHHI", 0x10, 0x14, 0xB, 2048, 0)
    + sized(b"\x80" + bytes(254) + b"\1")
)
QUOTE = (
    b"\xffTCG"
    + struct.pack(">H", 0x8018)
    + sized(b"\0\x0b" + b"s" * 32)
    + sized(b"nonce")
    + struct.pack(">QIIBQ", 1000, 2, 3, 1, 77)
    + struct.pack(">IHB", 1, 0xB, 3)
    + bytes([0b00000011, 0b00000011, 0])
    + sized(b"d" * 32)
)
ECDSA = struct.pack(">HH", 0x18, 0xB) + sized(b"r" * 32) + sized(b"s" * 32)
RSASSA = struct.pack(">HH", 0x14, 0xB) + sized(b"s" * 256)


def test_ecc_public_area_is_read() -> None:
    read = structures.parse_public(ECC)

    assert read.key == EccKey(
        curve="prime256v1", x=int.from_bytes(b"\1" * 32), y=int.from_bytes(b"\2" * 32)
    )
    assert (read.scheme, read.scheme_hash) == (Scheme.ECDSA, "sha256")
    assert Attribute.RESTRICTED in Attribute(read.attributes)
    assert read.name == b"\0\x0b" + hashlib.sha256(ECC).digest()


def test_rsa_public_area_without_exponent_has_the_default_one() -> None:
    key = structures.parse_public(RSA).key

    assert isinstance(key, RsaKey)
    assert (key.exponent, key.modulus.bit_length()) == (65537, 2048)


def test_quote_is_read() -> None:
    read = structures.parse_quote(QUOTE)

    assert (read.nonce, read.pcr_digest) == (b"nonce", b"d" * 32)
    assert (read.clock, read.reset_count, read.restart_count, read.firmware) == (1000, 2, 3, 77)
    assert read.selection == (("sha256", (0, 1, 8, 9)),)
    assert read.safe


def test_signatures_are_read() -> None:
    assert structures.parse_signature(ECDSA).numbers == (b"r" * 32, b"s" * 32)
    assert structures.parse_signature(RSASSA).numbers == (b"s" * 256,)


@pytest.mark.parametrize(
    ("parse", "good"),
    [
        (structures.parse_public, ECC),
        (structures.parse_public, RSA),
        (structures.parse_quote, QUOTE),
        (structures.parse_signature, ECDSA),
        (structures.parse_signature, RSASSA),
    ],
    ids=["ecc", "rsa", "quote", "ecdsa", "rsassa"],
)
def test_every_other_length_is_refused(parse: Callable[[bytes], object], good: bytes) -> None:
    parse(good)
    for end in range(len(good)):
        with pytest.raises(FormatError):
            parse(good[:end])
    with pytest.raises(FormatError, match="1 bytes are left over"):
        parse(good + b"\0")


def put(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (put(ECC, 0, b"\0\x08"), "type 0x0008"),
        (put(ECC, 2, b"\0\x04"), "name algorithm is 0x0004"),
        (put(ECC, 12, b"\0\x15"), "scheme 0x0015"),
        (put(ECC, 14, b"\0\x04"), "hash of the scheme is 0x0004"),
        (put(ECC, 16, b"\0\x05"), "curve 0x0005"),
        (put(RSA, 16, b"\x0c\0"), "the modulus has 2048 bits: declared are 3072"),
        (put(ECC, 8, b"\0\x41"), "policy has 65 bytes"),
    ],
)
def test_public_area_of_what_is_not_judged_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        structures.parse_public(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (put(QUOTE, 0, b"\xffTCH"), "the magic is ff544348"),
        (put(QUOTE, 4, b"\x80\x17"), "type 0x8017"),
        (QUOTE.replace(b"\0\5nonce", b"\0\x41nonce"), "nonce has 65 bytes"),
        (QUOTE.replace(struct.pack(">IIBQ", 2, 3, 1, 77), struct.pack(">IIBQ", 2, 3, 2, 77)), "2"),
        (QUOTE.replace(struct.pack(">IHB", 1, 0xB, 3), struct.pack(">IHB", 1, 0x4, 3)), "0x0004"),
        (QUOTE.replace(struct.pack(">IHB", 1, 0xB, 3), struct.pack(">IHB", 9, 0xB, 3)), "9 PCR"),
        (QUOTE.replace(struct.pack(">IHB", 1, 0xB, 3), struct.pack(">IHB", 1, 0xB, 9)), "of 9"),
    ],
    ids=["magic", "type", "nonce", "safe", "sha1", "selections", "bitmap"],
)
def test_quote_that_no_tpm_writes_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        structures.parse_quote(data)


def test_selection_of_a_pcr_that_is_none_is_refused() -> None:
    four = struct.pack(">IHB", 1, 0xB, 4) + bytes([0, 0, 0, 1])
    at = QUOTE.index(struct.pack(">IHB", 1, 0xB, 3))

    with pytest.raises(FormatError, match="PCR 24 is selected"):
        structures.parse_quote(QUOTE[:at] + four + sized(b"d" * 32))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack(">H", 0x10), "there is no signature"),
        (struct.pack(">HH", 0x5, 0xB), "scheme 0x0005"),
        (struct.pack(">HH", 0x14, 0x4) + sized(b"s" * 256), "0x0004"),
        (struct.pack(">HH", 0x14, 0xB) + sized(b"s" * 513), "513 bytes"),
        (struct.pack(">HH", 0x18, 0xB) + sized(b"r" * 49) + sized(b"s"), "49 bytes"),
    ],
    ids=["null", "hmac", "sha1", "long-rsa", "long-ecdsa"],
)
def test_signature_that_is_not_judged_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        structures.parse_signature(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (
        structures.parse_public,
        structures.parse_quote,
        structures.parse_signature,
    ):
        with pytest.raises(FormatError):
            parse(data)
