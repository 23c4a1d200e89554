# SPDX-License-Identifier: MIT
"""Flattened image trees: images, configurations, and the bytes a signature covers.

A FIT is a device tree with `/images` and `/configurations`. The model looks into the caller's
bytes and never copies a payload. Reading a FIT says nothing about its trustworthiness: names may
repeat and hashes may lie; `bootseal.fit.verify` judges.

Spec: FIT specification; U-Boot doc/usage/fit/signature.rst and boot/image-fit-sig.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.errors import FormatError
from bootseal.formats import fdt
from bootseal.formats.fdt_flat import Flat, FlatNode, Tag

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

UNHASHED: Final = frozenset({"data", "data-size", "data-position", "data-offset"})
"""Properties that no signature covers, in whichever node they stand."""

EXTERNAL: Final = UNHASHED - {"data"}
NOT_REFERENCES: Final = frozenset({"description", "compatible", "default"})
"""Configuration properties a fixed verifier does not search for image names."""

_LEGACY_MAGIC: Final = bytes.fromhex("27051956")
_ARM64_MAGIC: Final = b"ARM\x64"
_ARM64_OFFSET: Final = 56


class Region(NamedTuple):
    """A range of file offsets, `end` excluded."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hash:
    """A hash node of an image; `ignored` is a non-zero `uboot-ignore`."""

    path: str
    algorithm: str
    value: bytes
    ignored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
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
        payload: View of the embedded data; empty when there is none.
        offset: Offset of the payload in the file, 0 when there is none.
        external: Whether the node has any property of external data.
        hashes: The hash nodes in file order.
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
    external: bool
    hashes: tuple[Hash, ...]
    node: FlatNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature node of a configuration; missing properties are empty.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A FIT; `default` is the unsigned default configuration, empty without one."""

    flat: Flat
    description: str
    timestamp: int | None
    default: str
    images: tuple[Image, ...]
    configurations: tuple[Configuration, ...]

    def image(self, name: str) -> Image:
        """Return the first image of this name.

        Raises:
            FormatError: There is none.
        """
        for image in self.images:
            if image.name == name:
                return image
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


def parse(data: fdt.Buffer) -> Fit:
    """Read a FIT. Bytes behind the size in its header are ignored.

    Args:
        data: The file; it must not change while the result is in use.

    Raises:
        FormatError: It is something else, or not a well-formed FIT.
    """
    _reject_others(data)
    flat = fdt.read(data)
    images = flat.root.child("images")
    configurations = flat.root.child("configurations")
    if images is None or configurations is None:
        missing = "/images" if images is None else "/configurations"
        raise FormatError(f"the device tree has no {missing} node, so it is not a FIT")
    names = frozenset(child.name for child in images.children)
    return Fit(
        flat=flat,
        description=_text(flat.root, "description"),
        timestamp=_number(flat.root, "timestamp"),
        default=_text(configurations, "default"),
        images=tuple(_image(node) for node in images.children),
        configurations=tuple(_configuration(node, names) for node in configurations.children),
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


def hashed_regions(flat: Flat, nodes: Collection[str]) -> list[Region]:
    """Return the ranges of the structure block that a signature over `nodes` covers.

    A listed node counts with its properties (except `UNHASHED`), an unlisted child of one only
    with its name, deeper nodes not at all. Same result as U-Boot's fdt_find_regions().

    Args:
        flat: The tree.
        nodes: Absolute paths.
    """
    regions: list[Region] = []
    stack: list[tuple[int, str]] = []
    want, path, start = 0, "", -1
    for token in flat.tokens:
        stop = token.start
        if token.tag is Tag.BEGIN_NODE:
            stack.append((want, path))
            path = f"{path.rstrip('/')}/{token.name}"
            want = 2 if path in nodes else max(want - 1, 0)
            include = want > 0
        elif token.tag is Tag.PROP:
            include = want > 1 and token.name not in UNHASHED
        elif token.tag is Tag.END_NODE:
            include = want > 0
            stop = token.end
            want, path = stack.pop()
        else:
            include = token.tag is Tag.END or want > 1
        if include and start < 0:
            joined = regions and regions[-1].end == token.start
            start = regions.pop().start if joined else token.start
        elif not include and start >= 0:
            regions.append(Region(start, stop))
            start = -1
    regions.append(Region(start, flat.tokens[-1].end))
    return regions


def signed_chunks(flat: Flat, nodes: Collection[str], strings_size: int) -> Iterator[memoryview]:
    """Yield the bytes a configuration signature covers, without copying them.

    Args:
        flat: The tree.
        nodes: Absolute paths of the hashed nodes.
        strings_size: How much of the strings block is covered, in bytes from its start.
    """
    for region in hashed_regions(flat, nodes):
        yield flat.data[region.start : region.end]
    start = flat.header.off_strings
    yield flat.data[start : start + strings_size]


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


def _image(node: FlatNode) -> Image:
    data = node.properties.get("data")
    hashes = [child for child in node.children if child.name.startswith("hash")]
    return Image(
        name=node.name,
        path=node.path,
        description=_text(node, "description"),
        type=_text(node, "type"),
        os=_text(node, "os"),
        arch=_text(node, "arch"),
        compression=_text(node, "compression"),
        load=_number(node, "load"),
        entry=_number(node, "entry"),
        payload=memoryview(b"") if data is None else data.value,
        offset=0 if data is None else data.offset,
        external=not EXTERNAL.isdisjoint(node.properties),
        hashes=tuple(_hash(child) for child in hashes),
        node=node,
    )


def _hash(node: FlatNode) -> Hash:
    return Hash(
        path=node.path,
        algorithm=_text(node, "algo"),
        value=node.value("value") or b"",
        ignored=bool(_number(node, "uboot-ignore")),
    )


def _configuration(node: FlatNode, images: frozenset[str]) -> Configuration:
    references: dict[str, tuple[str, ...]] = {}
    for name, found in node.properties.items():
        named = tuple(text for text in _strings(bytes(found.value)) if text in images)
        if named and name not in NOT_REFERENCES:
            references[name] = named
    signatures = [child for child in node.children if child.name.startswith("signature")]
    return Configuration(
        name=node.name,
        path=node.path,
        description=_text(node, "description"),
        references=references,
        signatures=tuple(_signature(child) for child in signatures),
        node=node,
    )


def _signature(node: FlatNode) -> Signature:
    sign_images = node.value("sign-images")
    return Signature(
        path=node.path,
        algorithm=_text(node, "algo"),
        hint=_text(node, "key-name-hint"),
        padding=_text(node, "padding") or "pkcs-1.5",
        value=node.value("value") or b"",
        sign_images=None if sign_images is None else _strings(sign_images),
        hashed_nodes=_strings(node.value("hashed-nodes") or b""),
        hashed_strings=node.value("hashed-strings") or b"",
        timestamp=_number(node, "timestamp"),
    )


def _strings(value: bytes) -> tuple[str, ...]:
    """Split a string list; as in libfdt, a value without a final NUL holds none."""
    if not value.endswith(b"\0"):
        return ()
    return tuple(part.decode(errors="replace") for part in value[:-1].split(b"\0"))


def _text(node: FlatNode, name: str) -> str:
    value = node.value(name)
    if value is None:
        return ""
    if not value or value.find(b"\0") != len(value) - 1:
        where = node.properties[name].offset
        raise FormatError(f"{node.path}: {name!r} at offset {where} is not one string with a NUL")
    try:
        return value[:-1].decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{node.path}: {name!r} is not UTF-8 text: {error.reason}") from error


def _number(node: FlatNode, name: str) -> int | None:
    value = node.value(name)
    if value is None:
        return None
    if len(value) not in {4, 8}:
        raise FormatError(f"{node.path}: {name!r} has {len(value)} bytes: expected 4 or 8")
    return int.from_bytes(value)
