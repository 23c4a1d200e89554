# SPDX-License-Identifier: MIT
"""The signature algorithms of a FIT, under the names U-Boot gives them.

U-Boot compares the `algo` string of a signature node with that of the key by `strcmp`, so there
is exactly one spelling of each. SHA-1 is one of U-Boot's names and deliberately not one of ours:
collisions are practical, so it neither signs nor verifies here.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from bootseal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

HASHES: Final = ("sha256", "sha384", "sha512")
KEY_BITS: Final = (2048, 3072, 4096)


class Padding(StrEnum):
    """RSA padding, as the `padding` property of a signature node spells it."""

    PKCS1 = "pkcs-1.5"
    PSS = "pss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """How a digest is signed.

    Attributes:
        hash_name: `sha256`, `sha384` or `sha512`.
        bits: RSA modulus size in bits: 2048, 3072 or 4096.
        padding: RSA padding; U-Boot's default is PKCS#1 v1.5.

    Raises:
        UsageError: A value is not one of those.
    """

    hash_name: str
    bits: int
    padding: Padding = Padding.PKCS1

    def __post_init__(self) -> None:
        if self.hash_name not in HASHES:
            raise _unknown("hash", self.hash_name, HASHES)
        if self.bits not in KEY_BITS:
            raise _unknown("RSA key size", str(self.bits), [str(bits) for bits in KEY_BITS])

    @classmethod
    def parse(cls, name: str, padding: str = Padding.PKCS1) -> Algorithm:
        """Read the `algo` and `padding` of a signature node.

        Args:
            name: For example `sha256,rsa2048`.
            padding: `pkcs-1.5` or `pss`.

        Raises:
            UsageError: Not an algorithm we accept; who reads an untrusted file turns this into
                a finding.

        >>> Algorithm.parse("sha256,rsa4096").bits
        4096
        """
        if padding not in tuple(Padding):
            raise _unknown("padding", padding, list(Padding))
        for hash_name in HASHES:
            for bits in KEY_BITS:
                if name == f"{hash_name},rsa{bits}":
                    return cls(hash_name=hash_name, bits=bits, padding=Padding(padding))
        known = [f"{hash_name},rsa{bits}" for hash_name in HASHES for bits in KEY_BITS]
        raise _unknown("algorithm", name, known)

    @property
    def name(self) -> str:
        """U-Boot's spelling, without the padding, for example `sha256,rsa2048`."""
        return f"{self.hash_name},rsa{self.bits}"

    @property
    def digest_size(self) -> int:
        """Bytes of the digest that is signed."""
        return hashlib.new(self.hash_name).digest_size

    @property
    def signature_size(self) -> int:
        """Bytes of a signature, which for RSA is the size of the modulus."""
        return self.bits // 8

    def digest(self, chunks: Iterable[bytes | bytearray | memoryview]) -> bytes:
        """Hash buffers in order as if they were one, without joining them."""
        state = hashlib.new(self.hash_name)
        for chunk in chunks:
            state.update(chunk)
        return state.digest()


def _unknown(what: str, value: str, known: Iterable[str]) -> UsageError:
    names = list(known)
    near = difflib.get_close_matches(value, names, n=1)
    return UsageError(
        f"{what} {value!r} is not supported: expected one of {', '.join(names)}",
        hint=f"the nearest is {near[0]}" if near else "",
    )
