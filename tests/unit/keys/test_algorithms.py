# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib

import pytest

from bootseal.errors import UsageError
from bootseal.keys.algorithms import HASHES, KEY_BITS, Algorithm, Padding


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("bits", KEY_BITS)
@pytest.mark.parametrize("padding", list(Padding))
def test_parse_of_a_name_gives_it_back(hash_name: str, bits: int, padding: Padding) -> None:
    algorithm = Algorithm.parse(f"{hash_name},rsa{bits}", padding=padding.value)

    assert algorithm.name == f"{hash_name},rsa{bits}"
    assert algorithm.padding is padding
    assert algorithm.signature_size == bits // 8
    assert algorithm.digest_size == hashlib.new(hash_name).digest_size


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("bits", [256, 384])
def test_parse_of_an_ecdsa_name_gives_it_back(hash_name: str, bits: int) -> None:
    algorithm = Algorithm.parse(f"{hash_name},ecdsa{bits}")

    assert algorithm.name == f"{hash_name},ecdsa{bits}"
    assert algorithm.signature_size == 2 * bits // 8
    assert not algorithm.kind.is_rsa


def test_ecdsa_with_a_padding_is_refused() -> None:
    with pytest.raises(UsageError, match="only RSA has a padding"):
        Algorithm.parse("sha256,ecdsa256", padding="pss")


@pytest.mark.parametrize(
    "name",
    [
        "sha256,rsa1024",
        "sha256,secp521r1",
        "sha256, rsa2048",
        "SHA256,RSA2048",
        "sha256",
        "",
    ],
)
def test_parse_of_an_unsupported_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not supported"):
        Algorithm.parse(name)


def test_parse_of_a_misspelt_name_names_the_nearest() -> None:
    with pytest.raises(UsageError) as refusal:
        Algorithm.parse("sha256,rsa20448")

    assert refusal.value.hint == "the nearest is sha256,rsa2048"


def test_parse_of_an_unknown_padding_is_refused() -> None:
    with pytest.raises(UsageError, match="padding 'pkcs-1'"):
        Algorithm.parse("sha256,rsa2048", padding="pkcs-1")


def test_digest_of_chunks_equals_digest_of_their_concatenation() -> None:
    algorithm = Algorithm.parse("sha384,rsa3072")

    digest = algorithm.digest([b"ab", memoryview(b"cd"), bytearray(b"e")])

    assert digest == hashlib.sha384(b"abcde").digest()


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("sha1,rsa2048", "sha256,rsa2048"),
        ("sha1,rs2048", "sha256,rsa2048"),
        ("sha1,rsa4096", "sha256,rsa4096"),
        ("md5,rsa2048", "sha256,rsa2048"),
        ("sha1", "sha256,rsa4096"),
    ],
)
def test_weak_hash_is_refused_by_name_with_the_one_to_use(name: str, instead: str) -> None:
    with pytest.raises(UsageError, match=r"is refused: collisions of .* are practical") as refusal:
        Algorithm.parse(name)

    assert refusal.value.hint == f"use {instead}"
