# SPDX-License-Identifier: MIT
"""Weak keys as a class: what is exact is looked for here, the rest by the package badkeys.

badkeys knows ROCA, small private exponents, patterns in the modulus and lists of compromised keys,
such as Debian's of 2008. It is an extra, and `unchecked` says what was not looked for without it.
"""

from __future__ import annotations

import base64
import importlib.util
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

_MIN_RSA: Final = 2048
_MAX_RSA: Final = 16384
_MIN_EXPONENT: Final = 65537
_MIN_CURVE: Final = 256
_FERMAT: Final = 100
_OURS: Final = "fermat"
_BLOCKLIST: Final = "blocklist"
_LISTS: Final = ("blocklist.dat", "badkeysdata.json")


def inspect(spki: bytes) -> list[str]:
    """Say what makes a key weak.

    Args:
        spki: Its SubjectPublicKeyInfo, DER.

    Returns:
        One phrase for each weakness that was found.
    """
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        return []
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            if numbers.n.bit_length() > _MAX_RSA:
                # What follows would take minutes.
                return [f"RSA with {numbers.n.bit_length()} bits: expected {_MAX_RSA} or fewer"]
            found = _rsa(numbers.n, numbers.e)
        case ec.EllipticCurvePublicKey() if key.curve.key_size < _MIN_CURVE:
            found = [f"the curve {key.curve.name}: expected {_MIN_CURVE} bits or more"]
        case dsa.DSAPublicKey() if key.key_size < _MIN_RSA:
            found = [f"DSA with {key.key_size} bits: expected {_MIN_RSA} or more"]
        case _:
            found = []
    return found + _known(spki)


def shared_primes(spkis: Sequence[bytes]) -> list[bytes]:
    """Return the RSA keys that share a prime with another key of these.

    The greatest common divisor of each modulus and the product of the others is taken, by a tree of
    products and remainders.
    """
    moduli = {number: spki for spki in spkis if (number := _modulus(spki))}
    if not moduli:
        return []
    tree = [list(moduli)]
    while len(tree[-1]) > 1:
        row = tree[-1]
        tree.append([math.prod(row[at : at + 2]) for at in range(0, len(row), 2)])
    remainders = tree.pop()
    for row in reversed(tree):
        remainders = [remainders[at // 2] % number**2 for at, number in enumerate(row)]
    return [
        moduli[number]
        for number, rest in zip(moduli, remainders, strict=True)
        if len(moduli) > 1 and math.gcd(rest // number, number) != 1
    ]


def unchecked() -> tuple[str, ...]:
    """Say which weaknesses `inspect` cannot see here, and what to type to change that."""
    if importlib.util.find_spec("badkeys") is None:
        missing = (
            "ROCA, small private exponents, lists of compromised keys, and more: "
            "pip install 'bootseal[weak-keys]'"
        )
        return (missing,)
    if not _has_lists():
        return ("lists of compromised keys (Debian's of 2008): badkeys --update-bl",)
    return ()


def _rsa(modulus: int, exponent: int) -> list[str]:
    found = []
    if modulus.bit_length() < _MIN_RSA:
        found.append(f"RSA with {modulus.bit_length()} bits: expected {_MIN_RSA} or more")
    if exponent < _MIN_EXPONENT:
        found.append(f"the public exponent {exponent}: expected {_MIN_EXPONENT} or more")
    if _close(modulus):
        found.append("two primes so close together that Fermat's method finds them")
    return found


def _close(modulus: int) -> bool:
    """Say whether Fermat's method factors a number in a few steps."""
    middle = math.isqrt(modulus - 1) + 1
    for a in range(middle, middle + _FERMAT):
        square = a * a - modulus
        if math.isqrt(square) ** 2 == square:
            return True
    return False


def _modulus(spki: bytes) -> int:
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        return 0
    usable = isinstance(key, rsa.RSAPublicKey) and key.key_size <= _MAX_RSA
    return key.public_numbers().n if usable and isinstance(key, rsa.RSAPublicKey) else 0


def _known(spki: bytes) -> list[str]:
    """Ask badkeys, where it is installed."""
    if importlib.util.find_spec("badkeys") is None:
        return []
    import badkeys  # noqa: PLC0415 - optional, and nothing else here needs it

    # Without its lists, that check ends the program.
    left_out = {_OURS} if _has_lists() else {_OURS, _BLOCKLIST}
    checks = [name for name in badkeys.defaultchecks if name not in left_out]
    text = base64.b64encode(spki).decode()
    pem = f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"
    try:
        results = badkeys.checkpubkey(pem, checks=checks)["results"]
    except ArithmeticError as error:
        return [f"numbers that badkeys cannot process ({type(error).__name__})"]
    return [f"{badkeys.allchecks[name]['desc']} (badkeys)" for name in results]


def _has_lists() -> bool:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "badkeys"
    return all((cache / name).is_file() for name in _LISTS)
