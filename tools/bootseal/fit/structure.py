# SPDX-License-Identifier: MIT
"""What a release FIT may look like, apart from its signatures.

U-Boot accepts much that no signature covers: more nodes, more properties, data elsewhere in memory.
Each of those was a way around verified boot once, so nothing but the needed shape passes here.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from bootseal.events import Finding, Severity
from bootseal.fit.digest import STRONG, WEAK, digest
from bootseal.formats.fdt_flat import HEADER_SIZE, Tag
from bootseal.formats.fit import UNHASHED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.formats.fdt import FlatNode
    from bootseal.formats.fit import Configuration, Fit, Hash, Image

MAX_SIZE: Final = 0x10000000
"""U-Boot's default for CONFIG_FIT_SIGNATURE_MAX_SIZE, in bytes."""

REFERENCES: Final = (
    "kernel",
    "fdt",
    "ramdisk",
    "loadables",
    "script",
    "firmware",
    "standalone",
    "fpga",
    "setup",
)
"""Configuration properties in which U-Boot looks for images to load."""

_TYPES: Final = {
    "kernel": ("kernel", "kernel_noload"),
    "fdt": ("flat_dt",),
    "ramdisk": ("ramdisk",),
    "script": ("script",),
}
_SIGNATURE_PROPERTIES: Final = frozenset(
    {
        "algo",
        "comment",
        "hashed-nodes",
        "hashed-strings",
        "key-name-hint",
        "padding",
        "sign-images",
        "signer-name",
        "signer-version",
        "timestamp",
        "value",
    }
)
_NAME: Final = re.compile(r"[A-Za-z0-9,._+-]+")


def error(name: str, where: str, message: str) -> Finding:
    """Make a finding that refuses the FIT; `name` is its id without `fit.`."""
    return Finding(id=f"fit.{name}", severity=Severity.ERROR, where=where, message=message)


def check(fit: Fit) -> list[Finding]:
    """Return everything wrong with a FIT apart from its signatures, in file order per topic."""
    found = [*_check_layout(fit), *_check_names(fit), *_check_nodes(fit)]
    for image in fit.images:
        found += _check_image(image)
    for configuration in fit.configurations:
        found += _check_references(fit, configuration)
    return [*found, *_check_use(fit)]


def _check_layout(fit: Fit) -> Iterator[Finding]:
    header, data = fit.flat.header, fit.flat.data
    if header.total_size > MAX_SIZE:
        yield error("too-large", "header", f"{header.total_size} bytes: the limit is {MAX_SIZE}")
    end = header.off_struct + header.size_struct
    if (
        header.off_reservations != HEADER_SIZE
        or fit.flat.reservations_end != header.off_struct
        or end != header.off_strings
    ):
        yield error("layout", "header", "there are unsigned gaps between the blocks")
    if header.boot_cpuid or fit.flat.reservations:
        yield error("layout", "header", "a boot CPU or memory reservations are set, unsigned")
    names = fit.flat.strings
    if not names.endswith(b"\0") or names.startswith(b"\0") or b"\0\0" in names:
        yield error("layout", "header", "the strings block holds more than the names")
    if any(data[header.off_strings + header.size_strings :]):
        yield error("slack", "header", "the space behind the strings block is not zero")
    for token in fit.flat.tokens:
        if token.tag is Tag.NOP:
            yield error("nop", f"offset {token.start}", "a NOP tag has no place in a FIT")
            return


def _check_names(fit: Fit) -> Iterator[Finding]:
    for node in fit.flat.root.walk():
        if "@" in node.name:
            yield error("unit-address", node.path, "U-Boot can mistake a name with '@' for another")
        elif node.name and _NAME.fullmatch(node.name) is None:
            yield error("name", node.path, "the name has a character that FIT names must not have")
        for name, count in Counter(child.name for child in node.children).items():
            if count > 1:
                path = f"{node.path.rstrip('/')}/{name}"
                yield error("duplicate-name", path, f"{count} nodes have this path: expected one")


def _check_nodes(fit: Fit) -> Iterator[Finding]:
    root = fit.flat.root
    if not fit.description:
        yield error("description", "/", "there is no description, which U-Boot demands")
    yield from _unsigned(root, UNHASHED)
    for node in root.children:
        if node.name not in {"images", "configurations"}:
            yield error(
                "unexpected-node", node.path, "only /images and /configurations belong here"
            )
        else:
            allowed = frozenset({"default"} if node.name == "configurations" else ())
            yield from _unsigned(node, node.properties.keys() - allowed)
    for image in fit.images:
        yield from _check_children(image.node, ("hash", "signature"))
        if any(child.name.startswith("signature") for child in image.node.children):
            message = "a signature of a single image is not checked: the configuration's is"
            yield Finding(
                id="fit.image-signature",
                severity=Severity.WARNING,
                where=image.path,
                message=message,
            )
    for configuration in fit.configurations:
        yield from _unsigned(configuration.node, UNHASHED)
        yield from _check_children(configuration.node, ("signature",))


def _check_children(node: FlatNode, kinds: tuple[str, ...]) -> Iterator[Finding]:
    for child in node.children:
        if not child.name.startswith(kinds):
            expected = ", ".join(kinds)
            yield error("unexpected-node", child.path, f"expected only {expected} nodes here")
        elif child.children:
            yield error("unexpected-node", child.children[0].path, "expected no nodes here")
        if child.name.startswith("signature"):
            yield from _unsigned(child, child.properties.keys() - _SIGNATURE_PROPERTIES)
        else:
            yield from _unsigned(child, UNHASHED)


def _unsigned(node: FlatNode, names: frozenset[str] | set[str]) -> Iterator[Finding]:
    for name in node.properties:
        if name in names:
            yield error(
                "unsigned-property", node.path, f"no signature covers the property {name!r} here"
            )


def _check_image(image: Image) -> Iterator[Finding]:
    if image.external:
        names = ", ".join(sorted(image.node.properties.keys() & (UNHASHED - {"data"})))
        yield error(
            "external-data",
            image.path,
            f"the place of the data is given by {names}, unsigned: expected embedded data alone",
        )
    elif not image.payload:
        yield error("no-data", image.path, "the image has no data")
    if image.load is not None and not image.type.startswith("kernel"):
        yield error(
            "load-address",
            image.path,
            f"a load address on {image.type or 'an image without type'} lets it overwrite what was "
            "verified: expected one on kernels only",
        )
    if image.type == "kernel_noload" and image.compression not in {"", "none"}:
        yield error("noload-compressed", image.path, "U-Boot may write past its buffer: set load")
    if not image.hashes:
        yield error("no-hash", image.path, "the image has no hash node, so nothing protects it")
    elif not any(h.algorithm in STRONG for h in image.hashes):
        names = ", ".join(h.algorithm or "none" for h in image.hashes)
        expected = ", ".join(sorted(STRONG))
        yield error("weak-hash", image.path, f"protected by {names} only: expected {expected}")
    for found in image.hashes:
        yield from _check_hash(found, image)


def _check_hash(found: Hash, image: Image) -> Iterator[Finding]:
    if found.ignored:
        yield error("ignored-hash", found.path, "'uboot-ignore' makes U-Boot skip this hash")
    if found.algorithm not in STRONG | WEAK:
        yield error("unknown-hash", found.path, f"unknown algorithm {found.algorithm!r}")
    elif (actual := digest(found.algorithm, image.payload)) != found.value:
        yield error(
            "image-hash",
            found.path,
            f"{found.algorithm} of the data is {actual.hex()}, but the node says "
            f"{found.value.hex() or 'nothing'}",
        )


def _check_references(fit: Fit, configuration: Configuration) -> Iterator[Finding]:
    if not configuration.references:
        yield error("missing-image", configuration.path, "the configuration names no image")
    for name in REFERENCES:
        value = configuration.node.value(name)
        if value is None:
            continue
        named = configuration.references.get(name, ())
        if value != b"".join(image.encode() + b"\0" for image in named):
            yield error("missing-image", configuration.path, f"{name!r} names an unknown image")
        for image in map(fit.image, named):
            if image.type not in _TYPES.get(name, (image.type,)):
                expected = " or ".join(_TYPES[name])
                yield error(
                    "image-type",
                    configuration.path,
                    f"{name!r} names {image.name}, which is {image.type!r}: expected {expected}",
                )


def _check_use(fit: Fit) -> Iterator[Finding]:
    used = {
        name
        for configuration in fit.configurations
        for names in configuration.references.values()
        for name in names
    }
    for image in fit.images:
        if image.name not in used:
            yield error("unreferenced-image", image.path, "no configuration names this image")
    names = {configuration.name for configuration in fit.configurations}
    if not names:
        yield error("no-configuration", "/configurations", "there is no configuration to boot")
    if fit.default and fit.default not in names:
        yield error("default", "/configurations", f"the default {fit.default!r} does not exist")
