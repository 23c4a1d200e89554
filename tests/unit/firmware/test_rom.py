# SPDX-License-Identifier: MIT
"""BL1 and BL2 hold the hash of the master root key, this one and no other."""

from __future__ import annotations

import hashlib

import pytest

from bootseal.errors import VerificationRefused
from bootseal.firmware import rom

OWN = hashlib.sha256(b"the key of this device").hexdigest()
OTHER = hashlib.sha256(b"another key").hexdigest()
COMPILED = b"code" + rom.HEAD + rom.PLACEHOLDER + b"more code"


def holding(*hashes: str) -> bytes:
    return b"code" + b"".join(rom.HEAD + bytes.fromhex(each) for each in hashes) + b"more code"


def test_hash_takes_the_place_of_the_placeholder_and_nothing_else_changes() -> None:
    made = rom.with_root_key(COMPILED, OWN, "BL1")

    assert made == b"code" + rom.HEAD + bytes.fromhex(OWN) + b"more code"


def test_head_is_the_digest_info_of_sha256() -> None:
    assert rom.HEAD.hex() == "3031300d060960864801650304020105000420"
    assert len(rom.PLACEHOLDER) == hashlib.sha256().digest_size


@pytest.mark.parametrize(
    "image",
    [
        b"code without a place",
        COMPILED + COMPILED,
        COMPILED + rom.HEAD + bytes.fromhex(OTHER),
        COMPILED + bytes.fromhex(OWN),
    ],
    ids=["no place", "two places", "another key too", "the hash in a second place"],
)
def test_image_that_would_hold_anything_else_is_refused(image: bytes) -> None:
    with pytest.raises(VerificationRefused, match="BL1 has"):
        rom.with_root_key(image, OWN, "BL1")


def test_right_image_is_accepted() -> None:
    rom.check(holding(OWN), OWN, "BL2")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (holding(OTHER), f"master root key hashes: {OTHER}: expected only {OWN}"),
        (holding(OWN, OTHER), f"{OWN}, {OTHER}: expected"),
        (holding(OWN, OWN), f"{OWN}, {OWN}: expected"),
        (holding(), "none: expected"),
        (COMPILED, "the placeholder of the build: expected"),
        (holding(hashlib.sha256().hexdigest()), "the SHA-256 of empty input: expected"),
        (holding(OWN) + bytes.fromhex(OWN), "a second time"),
    ],
)
def test_other_hashes_are_refused(image: bytes, said: str) -> None:
    with pytest.raises(VerificationRefused, match=said):
        rom.check(image, OWN, "BL2")


@pytest.mark.parametrize(
    "known",
    [
        rom.PLACEHOLDER.hex(),
        hashlib.sha256().hexdigest(),
        "00" * 32,
        "b0f382091297d83a377a72471bec3273e99232e24959f65e8b4a4a46d8229ada",
        "2e40bf6ef912bb983171090e1e153d0bfdd1cc694a98eb8ba0b020864e6c0717",
    ],
)
def test_key_that_protects_nothing_is_refused_wherever_it_is(known: str) -> None:
    with pytest.raises(VerificationRefused, match="it protects nothing") as seen:
        rom.check(holding(known), known, "BL1")
    assert "bootseal keys generate" in seen.value.hint
