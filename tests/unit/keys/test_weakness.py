# SPDX-License-Identifier: MIT
from __future__ import annotations

import importlib.util
import math
import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootseal.keys import weakness

if TYPE_CHECKING:
    from pathlib import Path

GOOD = rsa.generate_private_key(65537, 2048).private_numbers()
N = GOOD.public_numbers.n
P = 0b11 << 1022 | 0x1234567
CURVE = ec.generate_private_key(ec.SECP192R1()).public_key()
OTHER_CURVE = ec.generate_private_key(ec.SECP256R1()).public_key()
INFO = PublicFormat.SubjectPublicKeyInfo


@pytest.fixture(autouse=True)
def _without_badkeys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


def spki(modulus: int, exponent: int = 65537) -> bytes:
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return key.public_bytes(Encoding.DER, INFO)


@pytest.mark.parametrize(
    ("weak", "good", "reason"),
    [
        (spki(GOOD.p), spki(N), "RSA with 1024 bits"),
        (spki((1 << 16384) + 1), spki(N), "RSA with 16385 bits"),
        (spki(N, 3), spki(N), "the public exponent 3"),
        (spki(P * (P + 200)), spki(P * (P + (1 << 1000))), "Fermat's method"),
        (
            CURVE.public_bytes(Encoding.DER, INFO),
            OTHER_CURVE.public_bytes(Encoding.DER, INFO),
            "192",
        ),
    ],
    ids=["size", "too large", "exponent", "close primes", "curve"],
)
def test_weak_key_is_named_and_its_twin_is_not(weak: bytes, good: bytes, reason: str) -> None:
    (found,) = weakness.inspect(weak)

    assert reason in found
    assert weakness.inspect(good) == []


@pytest.mark.parametrize("others", [0, 1, 5])
def test_keys_with_a_prime_in_common_are_found_among_others(others: int) -> None:
    prime = rsa.generate_private_key(65537, 2048).private_numbers().p
    crowd = [
        spki(rsa.generate_private_key(65537, 2048).public_key().public_numbers().n)
        for _ in range(others)
    ]
    weak = [spki(N), spki(GOOD.p * prime)]

    assert set(weakness.shared_primes([*crowd, *weak])) == set(weak)
    assert weakness.shared_primes([*crowd, weak[0], weak[0]]) == []


def test_without_badkeys_it_says_what_was_not_looked_for() -> None:
    (text,) = weakness.unchecked()
    assert "ROCA" in text
    assert "pip install 'bootseal[weak-keys]'" in text


def test_badkeys_is_asked_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def checkpubkey(pem: str, *, checks: list[str]) -> dict[str, object]:
        asked.append((pem.splitlines()[0], checks))
        return {"type": "rsa", "results": {"roca": {"detected": True}}}

    fake = SimpleNamespace(
        defaultchecks={"roca": {}, "blocklist": {}},
        allchecks={"roca": {"desc": "Return of the Coopersmith Attack"}},
        checkpubkey=checkpubkey,
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: fake)
    monkeypatch.setitem(sys.modules, "badkeys", fake)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert weakness.inspect(spki(N)) == ["Return of the Coopersmith Attack (badkeys)"]
    assert asked == [("-----BEGIN PUBLIC KEY-----", ["roca"])]
    assert "badkeys --update-bl" in weakness.unchecked()[0]

    (tmp_path / "badkeys").mkdir()
    for name in ("blocklist.dat", "badkeysdata.json"):
        (tmp_path / "badkeys" / name).touch()
    weakness.inspect(spki(N))
    assert asked[-1][1] == ["roca", "blocklist"]
    assert weakness.unchecked() == ()


def primes_of_infineon() -> tuple[int, int]:
    """Return two primes made as the library of Infineon's chips made them (CVE-2017-15361).

    Modulo the product of the small primes, each is a power of 65537. Each number added is the
    smallest with which the result is a prime.
    """
    small = math.prod(n for n in range(2, 168) if all(n % d for d in range(2, n)))
    start = (3 << 1022) // small
    p = (start + 58) * small + pow(65537, 1234567, small)
    q = (start + (1 << 700) + 94) * small + pow(65537, 7654321, small)
    return p, q


@pytest.fixture
def _with_badkeys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if os.environ.get("BOOTSEAL_CI") != "1":
        pytest.importorskip("badkeys")


@pytest.mark.usefixtures("_with_badkeys")
def test_badkeys_itself_names_a_key_of_a_weak_generator_and_not_its_twin() -> None:
    p, q = primes_of_infineon()

    (found,) = weakness.inspect(spki(p * q))

    assert "ROCA" in found
    assert found.endswith("(badkeys)")
    assert weakness.inspect(spki(p * GOOD.p)) == []
    assert "badkeys --update-bl" in weakness.unchecked()[0]


@pytest.mark.usefixtures("_with_badkeys")
@pytest.mark.parametrize(
    "modulus",
    [1 << 2048, (1 << 2048) - 1, N**2, 1 << 65536],
    ids=["power of two", "ones", "square", "too large"],
)
def test_no_modulus_is_too_odd_for_badkeys(modulus: int) -> None:
    found = weakness.inspect(spki(modulus))

    assert found
    assert len([text for text in found if "Fermat" in text]) < 2
