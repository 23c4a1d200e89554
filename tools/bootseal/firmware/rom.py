# SPDX-License-Identifier: MIT
"""The hash of the master root key in BL1, the boot ROM, and in BL2.

TF-A keeps it as a DigestInfo of SHA-256 in both (plat/qemu/common/qemu_rotpk.S). BL1 compares it
with the key of the BL2 certificate, BL2 with that of the trusted key certificate. They are compiled
with a placeholder, so that another key takes no compiler, and no key is needed to compile them.
"""

from __future__ import annotations

import hashlib
from typing import Final

from bootseal.errors import VerificationRefused

HEAD: Final = bytes.fromhex("3031300d060960864801650304020105000420")
"""The DigestInfo of SHA-256 (PKCS #1) in front of the hash."""
PLACEHOLDER: Final = b"bootseal: no master root key yet"
"""What is compiled in instead of the hash; no known key has this one."""

_KNOWN: Final = {
    PLACEHOLDER.hex(): "the placeholder of the build",
    hashlib.sha256().hexdigest(): "the SHA-256 of empty input",
    bytes(32).hex(): "zeros",
    "b0f382091297d83a377a72471bec3273e99232e24959f65e8b4a4a46d8229ada": "Arm's development key",
    "2e40bf6ef912bb983171090e1e153d0bfdd1cc694a98eb8ba0b020864e6c0717": (
        "Arm's ECDSA development key"
    ),
}
"""Hashes that protect nothing: anyone has the private key, or nobody can have one."""


def with_root_key(image: bytes, root_hash: str, what: str) -> bytes:
    """Return BL1 or BL2 with the hash of a master root key.

    Args:
        image: The image as compiled, with the placeholder.
        root_hash: SHA-256 of the key's SubjectPublicKeyInfo, lower-case hex.
        what: `BL1` or `BL2`, for messages.

    Raises:
        VerificationRefused: It would not hold this hash and no other.
    """
    made = image.replace(HEAD + PLACEHOLDER, HEAD + bytes.fromhex(root_hash))
    check(made, root_hash, what)
    return made


def with_other_root_key(image: bytes, present: str, root_hash: str, what: str) -> bytes:
    """Return BL1 or BL2 with the hash of another master root key than it has.

    Args:
        image: The image.
        present: The hash that it has, lower-case hex.
        root_hash: The hash that it is to have.
        what: `BL1` or `BL2`, for messages.

    Raises:
        VerificationRefused: It does not hold the present hash alone, or the new one protects
            nothing.
    """
    check(image, present, what)
    made = image.replace(HEAD + bytes.fromhex(present), HEAD + bytes.fromhex(root_hash))
    check(made, root_hash, what)
    return made


def check(image: bytes, root_hash: str, what: str) -> None:
    """Check that BL1 or BL2 holds the hash of this master root key and no other.

    Args:
        image: The image.
        root_hash: SHA-256 of the key's SubjectPublicKeyInfo, lower-case hex.
        what: `BL1` or `BL2`, for messages.

    Raises:
        VerificationRefused: It does not, or the key is one that protects nothing.
    """
    if root_hash in _KNOWN:
        raise VerificationRefused(
            f"the master root key's hash {root_hash} is {_KNOWN[root_hash]}: it protects nothing",
            hint="bootseal keys generate  (makes a key for the role mrk)",
        )
    found = [image[place : place + 32].hex() for place in _places(image)]
    if found != [root_hash]:
        held = ", ".join(_KNOWN.get(value, value) for value in found) or "none"
        raise VerificationRefused(
            f"{what} has these master root key hashes: {held}: expected only {root_hash}"
        )
    if image.count(bytes.fromhex(root_hash)) != 1:
        raise VerificationRefused(
            f"{what} has the hash {root_hash} a second time: expected it once"
        )


def _places(image: bytes) -> list[int]:
    """Return where the hashes begin."""
    found = []
    place = image.find(HEAD)
    while place >= 0:
        found.append(place + len(HEAD))
        place = image.find(HEAD, place + 1)
    return found
