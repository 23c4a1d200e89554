# SPDX-License-Identifier: MIT
"""The contents of a FIT, as `fit show` prints them. Nothing here verifies anything."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from bootseal.fit.verify.digest import STRONG, WEAK, digest

if TYPE_CHECKING:
    from bootseal.formats.fit.model import Fit, Hash, Image, Signature


class HashState(StrEnum):
    """How a hash node relates to the data of its image."""

    MATCHES = "matches"
    DIFFERS = "differs"
    EMPTY = "empty"
    UNKNOWN = "unknown algorithm"


class SignatureState(StrEnum):
    """Whether a signature node holds a signature; `fit verify` says whether it is good."""

    UNSIGNED = "unsigned"
    NOT_CHECKED = "signed, not checked"


def hash_state(found: Hash, image: Image) -> HashState:
    """Compare a hash node with the data of its image."""
    if found.algorithm not in STRONG | WEAK:
        return HashState.UNKNOWN
    if not found.value:
        return HashState.EMPTY
    matches = digest(found.algorithm, image.payload) == found.value
    return HashState.MATCHES if matches else HashState.DIFFERS


def signature_state(signature: Signature) -> SignatureState:
    """Say whether a node holds a signature."""
    return SignatureState.NOT_CHECKED if signature.value else SignatureState.UNSIGNED


def name_of(node: Hash | Signature) -> str:
    """Return the name of a node, without its path."""
    return node.path.rpartition("/")[2]


def document(fit: Fit) -> dict[str, object]:
    """Return a FIT as JSON: digests in lower-case hex, sizes and offsets in bytes."""
    return {
        "description": fit.description,
        "timestamp": fit.timestamp,
        "size": fit.flat.header.total_size,
        "images": [_image(image) for image in fit.images],
        "configurations": [
            {
                "name": each.name,
                "description": each.description,
                "default": each.name == fit.default,
                "images": each.references,
                "signatures": [_signature(signature) for signature in each.signatures],
            }
            for each in fit.configurations
        ],
    }


def _image(image: Image) -> dict[str, object]:
    return {
        **_picked(image, "name", "description", "type", "os", "arch", "compression", "offset"),
        "size": len(image.payload),
        **_picked(image, "external", "place", "load", "entry"),
        "hashes": [
            {
                "name": name_of(found),
                "algorithm": found.algorithm,
                "value": found.value.hex(),
                "state": hash_state(found, image),
            }
            for found in image.hashes
        ],
        "signatures": [_signature(signature) for signature in image.signatures],
    }


def _signature(signature: Signature) -> dict[str, object]:
    return {
        "name": name_of(signature),
        **_picked(signature, "algorithm", "padding", "hint", "timestamp"),
        "sign_images": signature.sign_images or (),
        "state": signature_state(signature),
    }


def _picked(node: Image | Signature, *names: str) -> dict[str, object]:
    return {name: getattr(node, name) for name in names}
