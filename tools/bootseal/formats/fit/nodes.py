# SPDX-License-Identifier: MIT
"""The nodes of a FIT: images, their hashes and signatures, and configurations.

They are tuples with names: made in a third of the time of dataclasses, of which a quarter of the
start-up of `fit verify` was spent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bootseal.formats.fdt.read import FlatNode


class Place(StrEnum):
    """Where an image's data is, as U-Boot finds it: the last of these that the node has."""

    NOWHERE = "nowhere"
    EMBEDDED = "embedded"
    OFFSET = "data-offset"
    POSITION = "data-position"


class Hash(NamedTuple):
    """A hash node of an image; `ignored` is a non-zero `uboot-ignore`."""

    path: str
    algorithm: str
    value: bytes
    ignored: bool


class Image(NamedTuple):
    """An image node.

    Attributes:
        name: Name of the node below `/images`.
        path: Its path.
        description: Free text, as are the next four: empty when the property is missing.
        type: `kernel`, `ramdisk`, `flat_dt`, ...
        os: Operating system.
        arch: Architecture.
        compression: `none`, `gzip`, ...
        load: Load address, None without one.
        entry: Entry point, None without one.
        payload: View of the data; empty when there is none.
        offset: Offset of the payload in the file, 0 when there is none.
        place: Where the data is.
        misplaced: Why external data cannot be read, empty when it can.
        external: Whether the node has any property of external data.
        hashes: The hash nodes in file order.
        signatures: The signature nodes in file order.
        node: The node itself.
    """

    name: str
    path: str
    description: str
    type: str
    os: str
    arch: str
    compression: str
    load: int | None
    entry: int | None
    payload: memoryview
    offset: int
    place: Place
    misplaced: str
    external: bool
    hashes: tuple[Hash, ...]
    signatures: tuple[Signature, ...]
    node: FlatNode

    @property
    def behind(self) -> bool:
        """Whether it has data, and that is after the tree."""
        return bool(self.payload) and self.place in {Place.OFFSET, Place.POSITION}


class Signature(NamedTuple):
    """A signature node of a configuration or an image; missing properties are empty.

    Attributes:
        path: Path of the node.
        algorithm: The `algo` property.
        hint: The `key-name-hint` property.
        padding: The `padding` property, `pkcs-1.5` when it is missing.
        value: The signature, big-endian.
        sign_images: The `sign-images` property, None when it is missing.
        hashed_nodes: The `hashed-nodes` property.
        hashed_strings: The `hashed-strings` property, two big-endian words when well formed.
        timestamp: Seconds since 1970, None when missing.
        node: The node itself.
    """

    path: str
    algorithm: str
    hint: str
    padding: str
    value: bytes
    sign_images: tuple[str, ...] | None
    hashed_nodes: tuple[str, ...]
    hashed_strings: bytes
    timestamp: int | None
    node: FlatNode


class Configuration(NamedTuple):
    """A configuration node.

    Attributes:
        name: Name of the node below `/configurations`.
        path: Its path.
        description: Free text.
        references: Property to names of existing images, in property order; every property counts
            except those in `NOT_REFERENCES`.
        signatures: The signature nodes in file order.
        node: The node itself.
    """

    name: str
    path: str
    description: str
    references: dict[str, tuple[str, ...]]
    signatures: tuple[Signature, ...]
    node: FlatNode
