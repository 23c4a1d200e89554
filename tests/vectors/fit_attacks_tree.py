# SPDX-License-Identifier: MIT
"""Attacks on the nodes and properties of a signed FIT, for `tests.vectors.fit_attacks`."""

from __future__ import annotations

import hashlib
import struct
from copy import deepcopy
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import forge_fit
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.model import Node

if TYPE_CHECKING:
    from collections.abc import Callable

KERNEL: Final = b"the attacker's kernel"
"""What every replaced payload becomes."""

_WORD: Final = struct.Struct(">I")


def node_at(root: Node, path: str) -> Node:
    """Return a node by its path."""
    found = root.find(path)
    if found is None:
        raise KeyError(path)
    return found


def first_configuration(root: Node) -> Node:
    """Return the first configuration."""
    return node_at(root, "/configurations").children[0]


def kernel_of(root: Node, kind: str = "kernel") -> Node:
    """Return the image that the first configuration names as kernel, or as something else."""
    name = first_configuration(root).properties[kind].split(b"\0")[0].decode()
    return node_at(root, f"/images/{name}")


def first_signature(root: Node) -> Node:
    """Return the first signature node of the first configuration."""
    return next(c for c in first_configuration(root).children if c.name.startswith("signature"))


def on(pick: Callable[[Node], Node], change: Callable[[Node], object]) -> Callable[[bytes], bytes]:
    """Return an attack that changes one node of the tree."""
    return lambda fit: fdt.rewrite(fit, lambda root: change(pick(root)))


def put(pick: Callable[[Node], Node], **properties: bytes) -> Callable[[bytes], bytes]:
    """Return an attack that sets properties; `_` stands for `-` in their names."""
    named = {name.replace("_", "-"): value for name, value in properties.items()}
    return on(pick, lambda node: node.properties.update(named))


def drop(pick: Callable[[Node], Node], *names: str) -> Callable[[bytes], bytes]:
    """Return an attack that removes properties."""
    return on(pick, lambda node: [node.properties.pop(name) for name in names])


def add_child(pick: Callable[[Node], Node], name: str = "extra") -> Callable[[bytes], bytes]:
    """Return an attack that adds an empty node."""
    return on(pick, lambda node: node.children.append(Node(name)))


def root_of(root: Node) -> Node:
    """Return the root itself."""
    return root


def images_of(root: Node) -> Node:
    """Return `/images`."""
    return node_at(root, "/images")


def configurations_of(root: Node) -> Node:
    """Return `/configurations`."""
    return node_at(root, "/configurations")


def ramdisk_of(root: Node) -> Node:
    """Return the image that the first configuration names as ramdisk."""
    return kernel_of(root, "ramdisk")


def kernel_hash(root: Node) -> Node:
    """Return the kernel's first hash node."""
    return next(c for c in kernel_of(root).children if c.name.startswith("hash"))


def replaced(image: Node) -> Node:
    """Return a copy of an image with the attacker's data, and hashes that fit."""
    evil = deepcopy(image)
    evil.properties["data"] = KERNEL
    for child in evil.children:
        if child.name.startswith("hash"):
            algorithm = child.properties["algo"][:-1].decode()
            child.properties["value"] = hashlib.new(algorithm, KERNEL).digest()
    return evil


def second_kernel(root: Node) -> None:
    """Add another image of the kernel's name."""
    images_of(root).children.append(replaced(kernel_of(root)))


def unused_image(root: Node) -> None:
    """Add an image that nothing names."""
    evil = replaced(kernel_of(root))
    evil.name = "unused"
    images_of(root).children.append(evil)


def unused_configuration(root: Node) -> None:
    """Add a copy of the first configuration."""
    evil = deepcopy(first_configuration(root))
    evil.name = "conf-unused"
    configurations_of(root).children.append(evil)


def second_images(root: Node) -> None:
    """Add another `/images`."""
    root.children.append(deepcopy(images_of(root)))


def swap_payloads(root: Node) -> None:
    """Give kernel and ramdisk each other's data, with the hashes of before."""
    kernel, ramdisk = kernel_of(root).properties, ramdisk_of(root).properties
    kernel["data"], ramdisk["data"] = ramdisk["data"], kernel["data"]


def nest(root: Node, depth: int) -> None:
    """Add nodes one inside the other."""
    node = images_of(root)
    for _ in range(depth):
        child = Node("n")
        node.children.append(child)
        node = child


def overwriting(fit: bytes) -> bytes:
    """Lay the kernel's data where U-Boot may load something else before it is used."""
    name = kernel_of(fdt.parse(fit)).name
    return forge_fit.move_payload(fit, name, 1 << 20)


def external(**numbers: int) -> Callable[[bytes], bytes]:
    """Return an attack that says where the kernel's data is."""
    return put(kernel_of, **{name: _WORD.pack(value) for name, value in numbers.items()})


def overlapping(fit: bytes) -> bytes:
    """Let the kernel's data be its own bytes inside the tree, placed by offset."""
    size = len(kernel_of(fdt.parse(fit)).properties["data"])
    name = kernel_of(fdt.parse(fit)).name

    def change(root: Node) -> None:
        kernel_of(root).properties |= {"data-position": bytes(4), "data-size": _WORD.pack(size)}

    moved = fdt.rewrite(fit, change)
    position, _ = forge_fit.locate(moved, f"/images/{name}", "data")
    place, _ = forge_fit.locate(moved, f"/images/{name}", "data-position")
    return moved[:place] + _WORD.pack(position) + moved[place + 4 :]


def repeat_hashed_nodes(fit: bytes) -> bytes:
    """List every signed node so often that there are more than U-Boot has room for."""

    def change(signature: Node) -> None:
        signature.properties["hashed-nodes"] *= 101

    return on(first_signature, change)(fit)


def hashed_strings(value: int) -> Callable[[bytes], bytes]:
    """Return an attack that sets the size in `hashed-strings`."""
    return put(first_signature, hashed_strings=bytes(4) + _WORD.pack(value))
