# SPDX-License-Identifier: MIT
"""The signature algorithms of a FIT, under the names U-Boot gives them.

U-Boot compares the `algo` string of a signature node with that of the key by `strcmp`, so there
is exactly one spelling of each. SHA-1 is one of U-Boot's names and deliberately not one of ours:
collisions are practical, so it neither signs nor verifies here. `secp521r1` is another that is
left out: mkimage writes such keys in a form that no U-Boot verifies.
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


class KeyKind(StrEnum):
    """What a key is, as the second half of U-Boot's algorithm names spells it."""

    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    ECDSA256 = "ecdsa256"
    ECDSA384 = "ecdsa384"

    @property
    def is_rsa(self) -> bool:
        """Whether it is an RSA key, and else one on an elliptic curve."""
        return self.startswith("rsa")

    @property
    def bits(self) -> int:
        """Size of the RSA modulus, or of the curve's field."""
        return int(self.removeprefix("rsa").removeprefix("ecdsa"))


class Padding(StrEnum):
    """RSA padding, as the `padding` property of a signature node spells it."""

    PKCS1 = "pkcs-1.5"
    PSS = "pss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """How a digest is signed.

    Attributes:
        hash_name: `sha256`, `sha384` or `sha512`.
        kind: What key signs.
        padding: RSA padding, U-Boot's default being PKCS#1 v1.5; ECDSA has none, and the default
            here.

    Raises:
        UsageError: A value is not one of those.
    """

    hash_name: str
    kind: KeyKind
    padding: Padding = Padding.PKCS1

    def __post_init__(self) -> None:
        if self.hash_name not in HASHES:
            raise _unknown("hash", self.hash_name, HASHES)
        if self.padding is Padding.PSS and not self.kind.is_rsa:
            raise UsageError(f"padding 'pss' with {self.name}: only RSA has a padding")

    @classmethod
    def parse(cls, name: str, padding: str = Padding.PKCS1) -> Algorithm:
        """Read the `algo` and `padding` of a signature node.

        Args:
            name: For example `sha256,rsa2048` or `sha384,ecdsa384`.
            padding: `pkcs-1.5` or `pss`.

        Raises:
            UsageError: Not an algorithm we accept; a reader of an untrusted file turns this into
                a finding.

        >>> Algorithm.parse("sha256,rsa4096").bits
        4096
        """
        if padding not in tuple(Padding):
            raise _unknown("padding", padding, list(Padding))
        hash_name, _, kind = name.partition(",")
        if name not in NAMES and hash_name in _WEAK:
            raise UsageError(
                f"algorithm {name!r} is refused: collisions of {_WEAK[hash_name]} are practical",
                hint=f"use {_nearest(f'sha256,{kind}', NAMES)}",
            )
        if name not in NAMES:
            raise _unknown("algorithm", name, NAMES)
        return cls(hash_name=hash_name, kind=KeyKind(kind), padding=Padding(padding))

    @property
    def name(self) -> str:
        """U-Boot's spelling, without the padding, for example `sha256,rsa2048`."""
        return f"{self.hash_name},{self.kind}"

    @property
    def bits(self) -> int:
        """Size of the RSA modulus, or of the curve's field."""
        return self.kind.bits

    @property
    def digest_size(self) -> int:
        """Bytes of the digest that is signed."""
        return hashlib.new(self.hash_name).digest_size

    @property
    def signature_size(self) -> int:
        """Bytes of a signature: those of the RSA modulus, or twice those of the curve's field."""
        return self.bits // 8 if self.kind.is_rsa else self.bits // 4

    def digest(self, chunks: Iterable[bytes | bytearray | memoryview]) -> bytes:
        """Hash buffers in order as if they were one, without joining them."""
        state = hashlib.new(self.hash_name)
        for chunk in chunks:
            state.update(chunk)
        return state.digest()


NAMES: Final = tuple(f"{hash_name},{kind}" for hash_name in HASHES for kind in KeyKind)


_WEAK: Final = {"sha1": "SHA-1", "md5": "MD5"}


def _nearest(value: str, names: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(value, list(names), n=1, cutoff=0)))


def _unknown(what: str, value: str, known: Iterable[str]) -> UsageError:
    names = list(known)
    near = difflib.get_close_matches(value, names, n=1)
    return UsageError(
        f"{what} {value!r} is not supported: expected one of {', '.join(names)}",
        hint=f"the nearest is {near[0]}" if near else "",
    )
