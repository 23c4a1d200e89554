# SPDX-License-Identifier: MIT
"""Flattened image trees: images, configurations, and the bytes a signature covers.

A FIT is a device tree with `/images` and, if anything of it is to boot, `/configurations`. The
model looks into the caller's bytes and never copies a payload. Reading a FIT says nothing about its
trustworthiness: names may repeat and hashes may be wrong; `bootseal.fit.verify.verdict` checks.

Spec: FIT specification; U-Boot doc/usage/fit/signature.rst and boot/image-fit-sig.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit.nodes import Configuration, Hash, Image, Place, Signature
from bootseal.formats.fit.regions import UNHASHED, Region, SignedRegions
from bootseal.units import align_up

if TYPE_CHECKING:
    from collections.abc import Collection

    from bootseal.formats.fdt.read import Flat, FlatNode

__all__ = [
    "EXTERNAL",
    "NOT_REFERENCES",
    "UNHASHED",
    "Configuration",
    "Fit",
    "Hash",
    "Image",
    "Place",
    "Region",
    "Signature",
    "SignedRegions",
    "hashed_nodes",
    "image_nodes",
    "parse",
]

EXTERNAL: Final = UNHASHED - {"data"}
NOT_REFERENCES: Final = frozenset({"description", "compatible", "default"})
"""Configuration properties a fixed verifier does not search for image names."""

_LEGACY_MAGIC: Final = bytes.fromhex("27051956")
_ARM64_MAGIC: Final = b"ARM\x64"
_ARM64_OFFSET: Final = 56
_EXTERNAL_ALIGNMENT: Final = 4
_WORD: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A FIT.

    Attributes:
        data: The whole file, with what follows the tree.
        flat: The tree.
        description: Free text.
        timestamp: Seconds since 1970, None when missing.
        default: The unsigned name of the default configuration, None when it is missing.
        lenient: Whether it was read as U-Boot does.
        images: The image nodes in file order.
        configurations: The configuration nodes in file order.
        regions: What signatures cover of it.
    """

    data: memoryview
    flat: Flat
    description: str
    timestamp: int | None
    default: str | None
    lenient: bool
    images: tuple[Image, ...]
    configurations: tuple[Configuration, ...]
    regions: SignedRegions = field(repr=False, compare=False)
    _images: dict[str, Image] = field(repr=False, compare=False)

    def image(self, name: str) -> Image:
        """Return the first image of this name.

        Raises:
            FormatError: There is none.
        """
        if (found := self._images.get(name)) is not None:
            return found
        known = ", ".join(image.name for image in self.images) or "none"
        raise FormatError(f"the FIT has no image {name!r}: it has {known}")

    def configuration(self, name: str) -> Configuration:
        """Return the first configuration of this name.

        Raises:
            FormatError: There is none.
        """
        for configuration in self.configurations:
            if configuration.name == name:
                return configuration
        known = ", ".join(configuration.name for configuration in self.configurations) or "none"
        raise FormatError(f"the FIT has no configuration {name!r}: it has {known}")


def parse(data: fdt.Buffer, *, lenient: bool = False) -> Fit:
    """Read a FIT. Bytes after the tree matter only as external data.

    Args:
        data: The file; it must not change while the result is in use.
        lenient: Take what U-Boot takes, see `fdt_flat`; a text then ends at its first NUL.

    Raises:
        FormatError: It is something else, or not a well-formed FIT.
    """
    _reject_others(data)
    flat = fdt.read(data, lenient=lenient)
    images = flat.root.child("images")
    configurations = flat.root.child("configurations")
    if images is None:
        raise FormatError("the device tree has no /images node, so it is not a FIT")
    reader = _Reader(memoryview(data).toreadonly(), lenient=lenient)
    found = tuple(reader.image(node) for node in images.children)
    names = {image.name: image for image in reversed(found)}
    return Fit(
        data=reader.data,
        flat=flat,
        description=reader.text(flat.root, "description"),
        timestamp=reader.number(flat.root, "timestamp"),
        default=(
            None
            if configurations is None or "default" not in configurations.properties
            else reader.text(configurations, "default")
        ),
        lenient=lenient,
        images=found,
        configurations=tuple(
            reader.configuration(node, names)
            for node in (() if configurations is None else configurations.children)
        ),
        regions=SignedRegions(flat),
        _images=names,
    )


def hashed_nodes(fit: Fit, configuration: Configuration) -> tuple[str, ...]:
    """Return the nodes a fixed verifier hashes for a configuration, duplicates removed.

    That is the root, the configuration, and every image any of its properties names, with the
    image's hash nodes and its cipher node (U-Boot v2026.04 and later, boot/image-fit-sig.c).
    """
    paths = ["/", configuration.path]
    for names in configuration.references.values():
        for name in names:
            paths += image_nodes(fit.image(name))
    return tuple(dict.fromkeys(paths))


def image_nodes(image: Image) -> list[str]:
    """Return the paths a signature covers for an image: itself, its hash nodes, its cipher node."""
    children = [child for child in image.node.children if child.name.startswith("hash")]
    children += [child for child in image.node.children if child.name == "cipher"]
    return [image.path, *(child.path for child in children)]


def _reject_others(data: fdt.Buffer) -> None:
    if bytes(data[:4]) == _LEGACY_MAGIC:
        raise FormatError(
            "this is a legacy uImage (magic 27051956 at offset 0), which cannot be verified: "
            "expected a FIT"
        )
    if bytes(data[_ARM64_OFFSET : _ARM64_OFFSET + 4]) == _ARM64_MAGIC:
        raise FormatError(
            'this is a bare arm64 kernel Image ("ARM\\x64" at offset 56): expected a FIT',
            hint="bootseal fit build --kernel ...",
        )


def _strings(value: bytes) -> tuple[str, ...]:
    """Split a string list; as in libfdt, a value without a final NUL holds none."""
    if not value.endswith(b"\0"):
        return ()
    return tuple(part.decode(errors="replace") for part in value[:-1].split(b"\0"))


class _Reader:
    """Reads nodes of one file."""

    def __init__(self, data: memoryview, *, lenient: bool) -> None:
        self.data = data
        self._lenient = lenient
        self._external = align_up(fdt.total_size(data), _EXTERNAL_ALIGNMENT)

    def image(self, node: FlatNode) -> Image:
        hashes = [child for child in node.children if child.name.startswith("hash")]
        signatures = [child for child in node.children if child.name.startswith("signature")]
        place, start, end, misplaced = self._payload(node)
        return Image(
            name=node.name,
            path=node.path,
            description=self.text(node, "description"),
            type=self.text(node, "type"),
            os=self.text(node, "os"),
            arch=self.text(node, "arch"),
            compression=self.text(node, "compression"),
            load=self.number(node, "load"),
            entry=self.number(node, "entry"),
            payload=self.data[start:end],
            offset=start,
            place=place,
            misplaced=misplaced,
            external=not EXTERNAL.isdisjoint(node.properties),
            hashes=tuple(self._hash(child) for child in hashes),
            signatures=tuple(self._signature(child) for child in signatures),
            node=node,
        )

    def configuration(self, node: FlatNode, images: Collection[str]) -> Configuration:
        references: dict[str, tuple[str, ...]] = {}
        for name, found in node.properties.items():
            named = tuple(text for text in _strings(bytes(found.value)) if text in images)
            if named and name not in NOT_REFERENCES:
                references[name] = named
        signatures = [child for child in node.children if child.name.startswith("signature")]
        return Configuration(
            name=node.name,
            path=node.path,
            description=self.text(node, "description"),
            references=references,
            signatures=tuple(self._signature(child) for child in signatures),
            node=node,
        )

    def text(self, node: FlatNode, name: str) -> str:
        value = node.value(name)
        if value is None:
            return ""
        if self._lenient:
            return value.partition(b"\0")[0].decode(errors="replace")
        if value.find(b"\0") != len(value) - 1 or not value:
            where = node.properties[name].offset
            raise FormatError(
                f"{node.path}: {name!r} at offset {where} is not one string with a NUL"
            )
        try:
            return value[:-1].decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{node.path}: {name!r} is not UTF-8 text: {error.reason}") from error

    def number(self, node: FlatNode, name: str) -> int | None:
        value = node.value(name)
        if value is None:
            return None
        if len(value) not in {4, 8} and not self._lenient:
            raise FormatError(f"{node.path}: {name!r} has {len(value)} bytes: expected 4 or 8")
        return int.from_bytes(value)

    def _payload(self, node: FlatNode) -> tuple[Place, int, int, str]:
        """Return where the data is, its start and end, and why it cannot be read."""
        for place in (Place.POSITION, Place.OFFSET):
            given = node.value(place)
            if given is None:
                continue
            size = node.value("data-size")
            if size is None or (len(given), len(size)) != (_WORD, _WORD):
                return place, 0, 0, f"{place!s} and data-size must be numbers of 32 bits"
            start = int.from_bytes(given) + (self._external if place is Place.OFFSET else 0)
            end = start + int.from_bytes(size)
            if end > len(self.data):
                return place, 0, 0, f"{start:#x}-{end:#x} of a file of {len(self.data):#x} bytes"
            return place, start, end, ""
        found = node.properties.get("data")
        if found is None:
            return Place.NOWHERE, 0, 0, ""
        return Place.EMBEDDED, found.offset, found.offset + len(found.value), ""

    def _hash(self, node: FlatNode) -> Hash:
        ignore = node.value("uboot-ignore") or b""
        return Hash(
            path=node.path,
            algorithm=self.text(node, "algo"),
            value=node.value("value") or b"",
            ignored=any(ignore) and (len(ignore) == _WORD or not self._lenient),
        )

    def _signature(self, node: FlatNode) -> Signature:
        sign_images = node.value("sign-images")
        return Signature(
            path=node.path,
            algorithm=self.text(node, "algo"),
            hint=self.text(node, "key-name-hint"),
            padding=self.text(node, "padding") if "padding" in node.properties else "pkcs-1.5",
            value=node.value("value") or b"",
            sign_images=None if sign_images is None else _strings(sign_images),
            hashed_nodes=_strings(node.value("hashed-nodes") or b""),
            hashed_strings=node.value("hashed-strings") or b"",
            timestamp=self.number(node, "timestamp"),
            node=node,
        )
