# SPDX-License-Identifier: MIT
"""Single bits of a FIT that an attacker flips, found by what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bootseal.boot.attacks import forge, forge_fit


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyBit:
    """One bit of a property: of the image that a configuration names, or of a node below it.

    Attributes:
        image: Property of the configuration that names the image; empty for another node.
        node: Path below the configuration; used without an image.
        name: The property.
        at: Which byte of the value: the fraction of its length, from 0 to 1.
        bit: Which bit of that byte, 0 being the least significant.
    """

    image: str = ""
    node: str = ""
    name: str = "data"
    at: float = 0.5
    bit: int = 0


KERNEL: Final = PropertyBit(image="kernel")
DEVICE_TREE: Final = PropertyBit(image="fdt")
INITRAMFS: Final = PropertyBit(image="ramdisk")
# "fdt-a" becomes "fdt-c": still a valid name, which only the signature can object to.
CONFIGURATION: Final = PropertyBit(name="fdt", at=0.7, bit=1)
SIGNATURE: Final = PropertyBit(node="/signature-1", name="value")
HINT: Final = PropertyBit(node="/signature-1", name="key-name-hint", at=0.0)


def flip(target: PropertyBit) -> Callable[[bytes], bytes]:
    """Return an attack that inverts one bit, as the first configuration sees it."""
    return lambda fit: forge.flip_bit(
        fit, offset_of(fit, forge_fit.first_configuration(fit), target), bit=target.bit
    )


def offset_of(fit: bytes, configuration: str, target: PropertyBit) -> int:
    """Return the file offset of the byte that holds a `PropertyBit`."""
    path = f"/configurations/{configuration}{target.node}"
    if target.image:
        path = f"/images/{forge_fit.referenced(fit, configuration, target.image)}"
    offset, size = forge_fit.locate(fit, path, target.name)
    # The last byte of a string is its NUL; a flip there would make another, malformed, tree.
    return offset + min(int(size * target.at), max(size - 2, 0))
