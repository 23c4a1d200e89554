# SPDX-License-Identifier: MIT
"""The keys U-Boot trusts: `/signature` of the device tree it carries for itself.

All functions take that device tree on its own or inside a boot loader such as `u-boot.bin` or
`u-boot.itb`; see `bootseal.fit.packed.control_trees` for where.

Spec: U-Boot doc/usage/fit/signature.rst.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.errors import FormatError, UsageError
from bootseal.fit import key_nodes
from bootseal.fit.boot_loader import has_gate
from bootseal.fit.packed import control_trees
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.edit import Editor
from bootseal.keys.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.formats.fdt.model import Buffer, Flat, FlatNode
    from bootseal.keys.public import PublicKey

_HINT: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_REQUIRED: Final = ("conf", "image")


class TrustedKey(NamedTuple):
    """A key in a control device tree.

    Attributes:
        path: Path of its node.
        hint: The `key-name-hint` property.
        algorithm: The `algo` property, for example `sha256,rsa2048`; may be empty for a key that is
            not required.
        required: `conf`, `image`, or empty when U-Boot does not insist on this key.
        public_key: The key.
    """

    path: str
    hint: str
    algorithm: str
    required: str
    public_key: PublicKey


class Trust(NamedTuple):
    """What a control device tree trusts.

    Attributes:
        keys: All its keys.
        any_suffices: Whether one required key is enough.
        gated: Whether it was read from a boot loader with the gate of meta-secureboot's patches.
    """

    keys: tuple[TrustedKey, ...]
    any_suffices: bool
    gated: bool = False

    def required(self, what: str) -> tuple[TrustedKey, ...]:
        """Return the keys that are required for `conf` or `image`."""
        return tuple(key for key in self.keys if key.required == what)


def read_trust(data: Buffer) -> Trust:
    """Read the keys and how many of the required ones must have signed.

    Raises:
        FormatError: There is no device tree, a key in it is malformed, or several in one file
            trust different keys.
    """
    gated = has_gate(data)
    found = [_read_trust(tree, gated=gated) for tree in control_trees.find(data)]
    if any(other != found[0] for other in found):
        raise FormatError(
            f"the {len(found)} control device trees in it trust different keys: expected one set",
            hint="bootseal fit extract FILE IMAGE -o board.dtb, and use that one",
        )
    return found[0]


def _read_trust(tree: Buffer, *, gated: bool) -> Trust:
    node = fdt.read(tree).find("/signature")
    if node is None:
        return Trust(keys=(), any_suffices=False, gated=gated)
    mode = node.value("required-mode")
    return Trust(
        keys=tuple(_read_key(child) for child in node.children),
        any_suffices=mode == b"any\0",
        gated=gated,
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
        data: Control device tree, or boot loader with one; hashes and checksums around it are
            computed anew.
        public_key: The key to trust.
        hint: Its `key-name-hint`; the node is called `key-<hint>`, or `<hint>` for ECDSA.
        algorithm: U-Boot name of the algorithm, for example `sha256,rsa2048`.
        required: `conf`: every configuration must be signed by this key; `image`: every image.

    Returns:
        `data` with the key.

    Raises:
        FormatError: `data` holds no device tree.
        UsageError: The hint is not usable or taken by another key, the key does not fit the
            algorithm, or a signature covers the device tree.
    """
    _check_key(public_key, hint, algorithm, required)
    name = key_nodes.node_name(public_key, hint)

    def change(editor: Editor, tree: Flat) -> None:
        if tree.find("/signature") is None:
            editor.add_node("/", "signature")
        path = f"/signature/{name}"
        found = tree.find(path)
        if found is None:
            editor.add_node("/signature", name)
        elif _read_key(found).public_key != public_key:
            raise UsageError(f"{path} already holds another key: choose another hint")
        editor.set_property(path, "key-name-hint", hint.encode() + b"\0")
        for key, value in key_nodes.encode(public_key):
            editor.set_property(path, key, value)
        editor.set_property(path, "algo", algorithm.encode() + b"\0")
        editor.set_property(path, "required", required.encode() + b"\0")

    return _edited(data, change)


def _check_key(public_key: PublicKey, hint: str, algorithm: str, required: str) -> None:
    if _HINT.fullmatch(hint) is None:
        raise UsageError(
            f"key name hint {hint!r} is not usable: expected up to 64 letters, digits and . _ + -"
        )
    if required not in _REQUIRED:
        raise UsageError(f"required is {required!r}: expected one of {', '.join(_REQUIRED)}")
    if Algorithm.parse(algorithm).kind is not public_key.kind:
        raise UsageError(f"a key of {public_key.bits} bits does not fit the algorithm {algorithm}")


def remove_key(data: bytes, public_key: PublicKey) -> bytes:
    """Remove a key wherever it is, so that U-Boot no longer trusts it.

    Raises:
        FormatError: `data` holds no device tree.
        UsageError: It does not hold this key.
    """
    paths = [key.path for key in read_keys(data) if key.public_key == public_key]
    if not paths:
        raise UsageError(f"no key {public_key.fingerprint()} in the control device tree")

    def change(editor: Editor, _: Flat) -> None:
        for path in paths:
            editor.remove_node(path)

    return _edited(data, change)


def _edited(data: bytes, change: Callable[[Editor, Flat], None]) -> bytes:
    """Apply a change to the device tree in `data`, which keeps its free space."""

    def edited(tree: bytes) -> bytes:
        editor = Editor(tree)
        slack = len(tree) - editor.size
        change(editor, fdt.read(tree))
        return editor.to_bytes(editor.size + slack)

    return control_trees.edit(data, edited)


def _read_key(node: FlatNode) -> TrustedKey:
    algorithm, required = _text(node, "algo"), _text(node, "required")
    # mkimage before 2025.01 writes no algo for ECDSA, and no required either.
    if required and not algorithm:
        raise FormatError(f"{node.path} lacks algo: expected for example sha256,rsa2048")
    return TrustedKey(
        path=node.path,
        hint=_text(node, "key-name-hint"),
        algorithm=algorithm,
        required=required,
        public_key=key_nodes.decode(node),
    )


def _text(node: FlatNode, name: str) -> str:
    value = node.value(name)
    if value is None:
        return ""
    if not value.endswith(b"\0") or not value.isascii():
        raise FormatError(f"{node.path}: {name!r} is not a string")
    return value[:-1].decode()
