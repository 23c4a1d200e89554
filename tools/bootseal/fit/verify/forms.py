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


class Kind(StrEnum):
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


class Form(StrEnum):
    """The forms of values."""

    ANY = "ANY"
    TEXT = "TEXT"
    """One string of printable ASCII, with its NUL; it may be empty."""
    NUMBER = "NUMBER"
    """32 or 64 bits, big-endian."""
    EXTENT = "EXTENT"
    """Two words: 0, and how much of the strings block is signed."""


RULES: Final[dict[str, tuple[frozenset[Kind], Form]]] = {
    "algo": (frozenset({Kind.HASH, Kind.SIGNATURE, Kind.UNREAD}), Form.TEXT),
    "arch": (frozenset({Kind.IMAGE}), Form.TEXT),
    "comment": (frozenset({Kind.SIGNATURE}), Form.TEXT),
    "compression": (frozenset({Kind.IMAGE}), Form.TEXT),
    "data": (frozenset({Kind.IMAGE}), Form.ANY),
    "default": (frozenset({Kind.CONFIGS}), Form.TEXT),
    "description": (frozenset({Kind.ROOT, Kind.IMAGE, Kind.CONFIG}), Form.TEXT),
    "entry": (frozenset({Kind.IMAGE}), Form.NUMBER),
    "hashed-nodes": (frozenset({Kind.SIGNATURE}), Form.ANY),
    "hashed-strings": (frozenset({Kind.SIGNATURE}), Form.EXTENT),
    "key-name-hint": (frozenset({Kind.SIGNATURE}), Form.TEXT),
    "load": (frozenset({Kind.IMAGE}), Form.NUMBER),
    "os": (frozenset({Kind.IMAGE}), Form.TEXT),
    "padding": (frozenset({Kind.SIGNATURE}), Form.TEXT),
    "sign-images": (frozenset({Kind.SIGNATURE}), Form.ANY),
    "signer-name": (frozenset({Kind.SIGNATURE}), Form.TEXT),
    "signer-version": (frozenset({Kind.SIGNATURE}), Form.TEXT),
    "timestamp": (frozenset({Kind.ROOT, Kind.SIGNATURE}), Form.NUMBER),
    "type": (frozenset({Kind.IMAGE}), Form.TEXT),
    "uboot-ignore": (frozenset({Kind.HASH}), Form.NUMBER),
    "value": (frozenset({Kind.SIGNATURE}), Form.ANY),
}

_TEXT: Final = re.compile(rb"[ -~]*\0")
_NUMBERS: Final = frozenset({4, 8})
_EXTENT: Final = 8


def allowed(kind: Kind) -> frozenset[str]:
    """Return the properties that a node of a kind may have, where no signature covers them."""
    return frozenset(name for name, (kinds, _) in RULES.items() if kind in kinds)


def check(fit: Fit) -> Iterator[Finding]:
    """Yield the properties of a strictly read FIT that have another form than they must have."""
    for kind, node, parent in nodes(fit):
        for name, found in node.properties.items():
            kinds, form = RULES.get(name, (frozenset[Kind](), Form.ANY))
            value = bytes(found.value) if kind in kinds and form is not Form.ANY else b""
            match form if kind in kinds else Form.ANY:
                case Form.TEXT if _TEXT.fullmatch(value) is None:
                    message = f"{name!r} is {value!r}: expected one string of printable ASCII"
                    yield finding("fit.property-form", node.path, message)
                case Form.NUMBER if len(value) not in _NUMBERS:
                    message = f"{name!r} has {len(value)} bytes: expected 4 or 8"
                    yield finding("fit.property-form", node.path, message)
                case Form.EXTENT if parent is Kind.CONFIG and not _is_extent(fit, value):
                    yield _bad_extent(fit, node, value.hex() or "empty")
        signed = kind is Kind.SIGNATURE and parent is Kind.CONFIG and node.value("value")
        if signed and "hashed-strings" not in node.properties:
            yield _bad_extent(fit, node, "missing")


def nodes(fit: Fit) -> Iterator[tuple[Kind, FlatNode, Kind]]:
    """Yield the nodes where a FIT has them, each with its kind and the kind of its parent."""
    root = fit.flat.root
    yield Kind.ROOT, root, Kind.ROOT
    for name, outer, inner in (
        ("images", Kind.IMAGES, Kind.IMAGE),
        ("configurations", Kind.CONFIGS, Kind.CONFIG),
    ):
        for top in root.children:
            if top.name != name:
                continue
            yield outer, top, Kind.ROOT
            for each in top.children:
                yield inner, each, outer
                for child in each.children:
                    if child.name.startswith("hash"):
                        yield Kind.HASH if inner is Kind.IMAGE else Kind.UNREAD, child, inner
                    elif child.name.startswith("signature"):
                        yield Kind.SIGNATURE, child, inner


def _is_extent(fit: Fit, value: bytes) -> bool:
    size = fit.flat.header.size_strings
    return len(value) == _EXTENT and not any(value[:4]) and int.from_bytes(value[4:]) <= size


def _bad_extent(fit: Fit, node: FlatNode, observed: str) -> Finding:
    message = f"'hashed-strings' is {observed}: expected 0 and at most "
    return finding("fit.hashed-strings", node.path, f"{message}{fit.flat.header.size_strings}")
