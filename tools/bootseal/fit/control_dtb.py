# SPDX-License-Identifier: MIT
"""The keys U-Boot trusts: `/signature` of the device tree it carries for itself.

All functions take that device tree on its own or at the end of a boot loader such as
`u-boot.bin`, where U-Boot with OF_SEPARATE keeps it.

Spec: U-Boot doc/usage/fit/signature.rst, lib/rsa/rsa-sign.c and rsa-verify.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, UsageError
from bootseal.formats import fdt
from bootseal.formats.fdt_edit import Editor
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import PublicKey, RsaPublicKey

if TYPE_CHECKING:
    from bootseal.formats.fdt import Buffer, FlatNode

_MAGIC: Final = bytes.fromhex("d00dfeed")
_DEFAULT_EXPONENT: Final = 65537
_HINT: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_REQUIRED: Final = ("conf", "image")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A key in a control device tree.

    Attributes:
        path: Path of its node.
        hint: The `key-name-hint` property.
        algorithm: The `algo` property, for example `sha256,rsa2048`.
        required: `conf`, `image`, or empty when U-Boot does not insist on this key.
        public_key: The key.
    """

    path: str
    hint: str
    algorithm: str
    required: str
    public_key: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """All keys of a control device tree; with `any_suffices` one required key is enough."""

    keys: tuple[TrustedKey, ...]
    any_suffices: bool


def locate(data: Buffer) -> tuple[int, int]:
    """Return start and end offset of the control device tree in `data`.

    It is the first valid device tree with nothing but zeros behind it.

    Raises:
        FormatError: There is none.
    """
    if bytes(data[:4]) == _MAGIC:
        return 0, fdt.total_size(data)
    view, raw = memoryview(data), bytes(data)
    start = raw.find(_MAGIC)
    while start >= 0:
        try:
            end = start + fdt.read(view[start:]).header.total_size
        except FormatError:
            end = 0
        if end and not raw[end:].strip(b"\0"):
            return start, end
        start = raw.find(_MAGIC, start + 1)
    raise FormatError(
        f"no device tree found in {len(raw)} bytes: expected a control device tree, or a boot "
        "loader that ends with one"
    )


def read_trust(data: Buffer) -> Trust:
    """Read the keys and how many of the required ones must have signed.

    Raises:
        FormatError: There is no device tree, or a key in it is malformed.
    """
    start, end = locate(data)
    node = fdt.read(memoryview(data)[start:end]).find("/signature")
    if node is None:
        return Trust(keys=(), any_suffices=False)
    mode = node.value("required-mode")
    return Trust(
        keys=tuple(_read_key(child) for child in node.children), any_suffices=mode == b"any\0"
    )


def read_keys(data: Buffer) -> tuple[TrustedKey, ...]:
    """Return the keys of a control device tree in file order, required or not.

    Raises:
        FormatError: There is no device tree, or a key in it is malformed.
    """
    return read_trust(data).keys


def add_key(
    data: bytes,
    public_key: PublicKey,
    *,
    hint: str,
    algorithm: str,
    required: str = "conf",
) -> bytes:
    """Add a public key, in the properties and their order that mkimage uses.

    Adding the same key again changes nothing but `algo` and `required`. Free space in the device
    tree stays as large as it was.

    Args:
        data: Control device tree, or boot loader with one at its end.
        public_key: The key to trust.
        hint: Its `key-name-hint`; the node is called `key-<hint>`.
        algorithm: U-Boot name of the algorithm, for example `sha256,rsa2048`.
        required: `conf`: every configuration must be signed by this key.

    Returns:
        `data` with the key.

    Raises:
        FormatError: `data` holds no device tree.
        UsageError: The hint is not usable or taken by another key, or the key does not fit the
            algorithm.
    """
    if _HINT.fullmatch(hint) is None:
        raise UsageError(
            f"key name hint {hint!r} is not usable: expected up to 64 letters, digits and . _ + -"
        )
    if required not in _REQUIRED:
        raise UsageError(f"required is {required!r}: expected one of {', '.join(_REQUIRED)}")
    if Algorithm.parse(algorithm).kind is not public_key.kind:
        raise UsageError(f"a key of {public_key.bits} bits does not fit the algorithm {algorithm}")
    if not isinstance(public_key, RsaPublicKey):
        raise UsageError(f"{public_key.kind} keys cannot be put into a control device tree yet")
    start, end = locate(data)
    path = f"/signature/key-{hint}"
    tree = fdt.read(memoryview(data)[start:end])
    editor = Editor(data[start:end])
    slack = end - start - editor.size
    if tree.find("/signature") is None:
        editor.add_node("/", "signature")
    found = tree.find(path)
    if found is None:
        editor.add_node("/signature", f"key-{hint}")
    elif _read_key(found).public_key != public_key:
        raise UsageError(f"{path} already holds another key: choose another hint")
    for name, value in _properties(public_key, hint, algorithm, required):
        editor.set_property(path, name, value)
    return data[:start] + editor.to_bytes(editor.size + slack) + data[end:]


def _properties(
    key: RsaPublicKey, hint: str, algorithm: str, required: str
) -> list[tuple[str, bytes]]:
    size = key.bits // 8
    return [
        ("key-name-hint", hint.encode() + b"\0"),
        ("rsa,num-bits", key.bits.to_bytes(4)),
        ("rsa,n0-inverse", _n0_inverse(key.modulus)),
        ("rsa,exponent", key.exponent.to_bytes(8)),
        ("rsa,modulus", key.modulus.to_bytes(size)),
        ("rsa,r-squared", _r_squared(key.modulus, key.bits)),
        ("algo", algorithm.encode() + b"\0"),
        ("required", required.encode() + b"\0"),
    ]


def _n0_inverse(modulus: int) -> bytes:
    """Return -1/n modulo 2**32, which U-Boot's Montgomery multiplication starts from."""
    return (-pow(modulus, -1, 1 << 32) % (1 << 32)).to_bytes(4)


def _r_squared(modulus: int, bits: int) -> bytes:
    return pow(2, 2 * bits, modulus).to_bytes(bits // 8)


def _read_key(node: FlatNode) -> TrustedKey:
    values = {name: bytes(found.value) for name, found in node.properties.items()}
    missing = {"algo", "rsa,num-bits", "rsa,modulus"} - values.keys()
    if missing:
        raise FormatError(
            f"{node.path} lacks {', '.join(sorted(missing))}: expected an RSA public key"
        )
    bits = int.from_bytes(values["rsa,num-bits"])
    exponent = int.from_bytes(values.get("rsa,exponent", _DEFAULT_EXPONENT.to_bytes(8)))
    modulus = int.from_bytes(values["rsa,modulus"])
    key = RsaPublicKey.from_numbers(modulus, exponent)
    expected = {
        "rsa,num-bits": key.bits.to_bytes(4),
        "rsa,n0-inverse": _n0_inverse(modulus),
        "rsa,r-squared": _r_squared(modulus, key.bits),
    }
    for name, value in expected.items():
        if values.get(name) != value:
            raise FormatError(
                f"{node.path}: {name!r} does not belong to the modulus of {bits} bits"
            )
    return TrustedKey(
        path=node.path,
        hint=_text(node, "key-name-hint"),
        algorithm=_text(node, "algo"),
        required=_text(node, "required"),
        public_key=key,
    )


def _text(node: FlatNode, name: str) -> str:
    value = node.value(name)
    if value is None:
        return ""
    if not value.endswith(b"\0") or not value.isascii():
        raise FormatError(f"{node.path}: {name!r} is not a string")
    return value[:-1].decode()
