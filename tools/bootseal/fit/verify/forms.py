# SPDX-License-Identifier: MIT
"""Which form the properties of a FIT have, and which of them a signature node may have.

U-Boot prints or uses much of this before it has checked a signature, and the gate of
`meta-secureboot` refuses what has another form. The table below is that of the gate, row by row
(`boot/bootseal_gate.c`); tests/gate holds the two to each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from bootseal.findings.catalogue import finding

if TYPE_CHECKING:
    from bootseal.findings.model import Finding
    from bootseal.formats.fdt.model import FlatNode
    from bootseal.formats.fit.model import Fit


class NodeKind(StrEnum):
    """The kinds of nodes that a release FIT has."""

    ROOT = "ROOT"
    IMAGES = "IMAGES"
    CONFIGS = "CONFIGS"
    IMAGE = "IMAGE"
    CONFIG = "CONFIG"
    HASH = "HASH"
    SIGNATURE = "SIGNATURE"
    UNREAD = "UNREAD"
    """A hash node of a configuration, as OE writes it."""


class PropertyForm(StrEnum):
    """The forms of values."""

    ANY = "ANY"
    TEXT = "TEXT"
    """One string of printable ASCII, with its NUL; it may be empty."""
    NUMBER = "NUMBER"
    """32 or 64 bits, big-endian."""
    EXTENT = "EXTENT"
    """Two words: 0, and how much of the strings block is signed."""


RULES: Final[dict[str, tuple[frozenset[NodeKind], PropertyForm]]] = {
    "algo": (frozenset({NodeKind.HASH, NodeKind.SIGNATURE, NodeKind.UNREAD}), PropertyForm.TEXT),
    "arch": (frozenset({NodeKind.IMAGE}), PropertyForm.TEXT),
    "comment": (frozenset({NodeKind.SIGNATURE}), PropertyForm.TEXT),
    "compression": (frozenset({NodeKind.IMAGE}), PropertyForm.TEXT),
    "data": (frozenset({NodeKind.IMAGE}), PropertyForm.ANY),
    "default": (frozenset({NodeKind.CONFIGS}), PropertyForm.TEXT),
    "description": (frozenset({NodeKind.ROOT, NodeKind.IMAGE, NodeKind.CONFIG}), PropertyForm.TEXT),
    "entry": (frozenset({NodeKind.IMAGE}), PropertyForm.NUMBER),
    "hashed-nodes": (frozenset({NodeKind.SIGNATURE}), PropertyForm.ANY),
    "hashed-strings": (frozenset({NodeKind.SIGNATURE}), PropertyForm.EXTENT),
    "key-name-hint": (frozenset({NodeKind.SIGNATURE}), PropertyForm.TEXT),
    "load": (frozenset({NodeKind.IMAGE}), PropertyForm.NUMBER),
    "os": (frozenset({NodeKind.IMAGE}), PropertyForm.TEXT),
    "padding": (frozenset({NodeKind.SIGNATURE}), PropertyForm.TEXT),
    "sign-images": (frozenset({NodeKind.SIGNATURE}), PropertyForm.ANY),
    "signer-name": (frozenset({NodeKind.SIGNATURE}), PropertyForm.TEXT),
    "signer-version": (frozenset({NodeKind.SIGNATURE}), PropertyForm.TEXT),
    "timestamp": (frozenset({NodeKind.ROOT, NodeKind.SIGNATURE}), PropertyForm.NUMBER),
    "type": (frozenset({NodeKind.IMAGE}), PropertyForm.TEXT),
    "uboot-ignore": (frozenset({NodeKind.HASH}), PropertyForm.NUMBER),
    "value": (frozenset({NodeKind.SIGNATURE}), PropertyForm.ANY),
}

_TEXT: Final = re.compile(rb"[ -~]*\0")
_NUMBERS: Final = frozenset({4, 8})
_EXTENT: Final = 8


def allowed(kind: NodeKind) -> frozenset[str]:
    """Return the properties that a node of a kind may have, where no signature covers them."""
    return frozenset(name for name, (kinds, _) in RULES.items() if kind in kinds)


def check(fit: Fit) -> Iterator[Finding]:
    """Yield the properties of a strictly read FIT that do not have the required form."""
    for kind, node, parent in nodes(fit):
        for name, found in node.properties.items():
            kinds, form = RULES.get(name, (frozenset[NodeKind](), PropertyForm.ANY))
            value = bytes(found.value) if kind in kinds and form is not PropertyForm.ANY else b""
            match form if kind in kinds else PropertyForm.ANY:
                case PropertyForm.TEXT if _TEXT.fullmatch(value) is None:
                    message = f"{name!r} is {value!r}: expected one string of printable ASCII"
                    yield finding("fit.property-form", node.path, message)
                case PropertyForm.NUMBER if len(value) not in _NUMBERS:
                    message = f"{name!r} has {len(value)} bytes: expected 4 or 8"
                    yield finding("fit.property-form", node.path, message)
                case PropertyForm.EXTENT if parent is NodeKind.CONFIG and not _is_extent(
                    fit, value
                ):
                    yield _bad_extent(fit, node, value.hex() or "empty")
        signed = kind is NodeKind.SIGNATURE and parent is NodeKind.CONFIG and node.value("value")
        if signed and "hashed-strings" not in node.properties:
            yield _bad_extent(fit, node, "missing")


def nodes(fit: Fit) -> Iterator[tuple[NodeKind, FlatNode, NodeKind]]:
    """Yield the nodes where a FIT has them, each with its kind and the kind of its parent."""
    root = fit.flat.root
    yield NodeKind.ROOT, root, NodeKind.ROOT
    for name, outer, inner in (
        ("images", NodeKind.IMAGES, NodeKind.IMAGE),
        ("configurations", NodeKind.CONFIGS, NodeKind.CONFIG),
    ):
        for top in root.children:
            if top.name != name:
                continue
            yield outer, top, NodeKind.ROOT
            for each in top.children:
                yield inner, each, outer
                for child in each.children:
                    if child.name.startswith("hash"):
                        yield (
                            NodeKind.HASH if inner is NodeKind.IMAGE else NodeKind.UNREAD,
                            child,
                            inner,
                        )
                    elif child.name.startswith("signature"):
                        yield NodeKind.SIGNATURE, child, inner


def _is_extent(fit: Fit, value: bytes) -> bool:
    size = fit.flat.header.size_strings
    return len(value) == _EXTENT and not any(value[:4]) and int.from_bytes(value[4:]) <= size


def _bad_extent(fit: Fit, node: FlatNode, observed: str) -> Finding:
    message = f"'hashed-strings' is {observed}: expected 0 and at most "
    return finding("fit.hashed-strings", node.path, f"{message}{fit.flat.header.size_strings}")
