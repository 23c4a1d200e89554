# SPDX-License-Identifier: MIT
"""How a public key is written as a node of a control device tree.

RSA keys come with the numbers Montgomery multiplication starts from; all numbers are big-endian.

Spec: U-Boot lib/rsa/rsa-sign.c, rsa_add_verify_data(); lib/ecdsa/ecdsa-libcrypto.c,
ecdsa_add_verify_data().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.keys.public import EcPublicKey, PublicKey, RsaPublicKey

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import FlatNode

_DEFAULT_EXPONENT: Final = 65537


def node_name(key: PublicKey, hint: str) -> str:
    """Return the name of a key's node: mkimage puts `key-` in front for RSA only."""
    return f"key-{hint}" if isinstance(key, RsaPublicKey) else hint


def encode(key: PublicKey) -> list[tuple[str, bytes]]:
    """Return the properties that hold a key's numbers, in the order mkimage sets them."""
    size = -(-key.bits // 8)
    if isinstance(key, RsaPublicKey):
        return [
            ("rsa,num-bits", key.bits.to_bytes(4)),
            ("rsa,n0-inverse", _n0_inverse(key.modulus)),
            ("rsa,exponent", key.exponent.to_bytes(8)),
            ("rsa,modulus", key.modulus.to_bytes(size)),
            ("rsa,r-squared", _r_squared(key.modulus, key.bits)),
        ]
    return [
        ("ecdsa,curve", key.curve.encode() + b"\0"),
        ("ecdsa,x-point", key.x.to_bytes(size)),
        ("ecdsa,y-point", key.y.to_bytes(size)),
    ]


def decode(node: FlatNode) -> PublicKey:
    """Read the key of a node.

    Raises:
        FormatError: It lacks a number, or the numbers are not a key or do not belong together.
    """
    values = {name: bytes(found.value) for name, found in node.properties.items()}
    curve = values.get("ecdsa,curve")
    wanted = {"rsa,num-bits", "rsa,modulus"}
    if curve is not None:
        wanted = {"ecdsa,x-point", "ecdsa,y-point"}
    if missing := wanted - values.keys():
        raise FormatError(
            f"{node.path} lacks {', '.join(sorted(missing))}: expected an RSA or ECDSA public key"
        )
    try:
        return _decode_rsa(values) if curve is None else _decode_ec(curve, values)
    except FormatError as error:
        raise FormatError(f"{node.path}: {error.message}") from error


def _decode_rsa(values: dict[str, bytes]) -> RsaPublicKey:
    modulus = int.from_bytes(values["rsa,modulus"])
    if not modulus % 2:
        raise FormatError("the modulus is even, so it is not an RSA modulus")
    exponent = int.from_bytes(values.get("rsa,exponent", _DEFAULT_EXPONENT.to_bytes(8)))
    key = RsaPublicKey.from_numbers(modulus, exponent)
    expected = {
        "rsa,num-bits": key.bits.to_bytes(4),
        "rsa,n0-inverse": _n0_inverse(modulus),
        "rsa,r-squared": _r_squared(modulus, key.bits),
    }
    for name, value in expected.items():
        if values.get(name) != value:
            raise FormatError(f"{name!r} does not belong to the modulus of {key.bits} bits")
    return key


def _decode_ec(curve: bytes, values: dict[str, bytes]) -> EcPublicKey:
    name = curve.removesuffix(b"\0").decode(errors="replace")
    x, y = values["ecdsa,x-point"], values["ecdsa,y-point"]
    key = EcPublicKey.from_point(name, int.from_bytes(x), int.from_bytes(y))
    size = key.bits // 8
    if (len(x), len(y)) != (size, size):
        raise FormatError(f"the point has {len(x)} and {len(y)} bytes: expected {size} each")
    return key


def _n0_inverse(modulus: int) -> bytes:
    """Return -1/n modulo 2**32, which U-Boot's Montgomery multiplication starts from."""
    return (-pow(modulus, -1, 1 << 32) % (1 << 32)).to_bytes(4)


def _r_squared(modulus: int, bits: int) -> bytes:
    return pow(2, 2 * bits, modulus).to_bytes(bits // 8)
