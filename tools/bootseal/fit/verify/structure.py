# SPDX-License-Identifier: MIT
"""What a release FIT may look like, apart from its signatures.

U-Boot accepts much that no signature covers: more nodes, more properties, data elsewhere in memory.
Each of those was a way around verified boot once, so nothing but the needed shape passes here.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from bootseal.findings.catalogue import finding
from bootseal.fit.verify import forms, payloads
from bootseal.fit.verify.digest import PayloadCache
from bootseal.fit.verify.strictness import STRICT
from bootseal.formats.fdt.read import HEADER_SIZE
from bootseal.formats.fdt.scan import Tag
from bootseal.formats.fit.model import UNHASHED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.findings.model import Finding
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.formats.fdt.model import FlatNode
    from bootseal.formats.fit.model import Configuration, Fit

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
_ALIGNMENT: Final = 4
_NAME: Final = re.compile(r"[A-Za-z0-9,._+-]+")


def check(
    fit: Fit, strictness: Strictness = STRICT, cache: PayloadCache | None = None
) -> list[Finding]:
    """Return everything wrong with a FIT apart from its signatures, in file order per topic.

    Args:
        fit: The FIT.
        strictness: A strict one.
        cache: What is known about the payloads already.
    """
    found = [*_check_layout(fit, strictness), *_check_names(fit), *_check_nodes(fit)]
    found += forms.check(fit)
    found += payloads.check(fit, fit.images, strictness, cache or PayloadCache())
    for configuration in fit.configurations:
        found += _check_references(fit, configuration)
        found += payloads.check_loads(fit, configuration, strictness.target)
    return [*found, *_check_use(fit)]


def check_size(fit: Fit, strictness: Strictness) -> Iterator[Finding]:
    """Yield a finding when the tree is larger than the target accepts."""
    size = fit.flat.header.total_size
    if size > strictness.max_size:
        message = f"{size} bytes: the limit is {strictness.max_size}"
        yield finding("fit.too-large", "header", message)


def check_addresses(fit: Fit) -> Iterator[Finding]:
    """Yield the nodes that libfdt may return in place of another."""
    for node in fit.flat.root.walk():
        if "@" in node.name:
            yield finding(
                "fit.unit-address", node.path, "U-Boot can mistake a name with '@' for another"
            )


def _check_layout(fit: Fit, strictness: Strictness) -> Iterator[Finding]:
    header, data = fit.flat.header, fit.flat.data
    yield from check_size(fit, strictness)
    end = header.off_struct + header.size_struct
    if (
        header.off_reservations != HEADER_SIZE
        or fit.flat.reservations_end != header.off_struct
        or end != header.off_strings
    ):
        yield finding("fit.layout", "header", "there are unsigned gaps between the blocks")
    if header.boot_cpuid or fit.flat.reservations:
        yield finding("fit.layout", "header", "a boot CPU or memory reservations are set, unsigned")
    names = fit.flat.strings
    if not names.endswith(b"\0") or names.startswith(b"\0") or b"\0\0" in names:
        yield finding("fit.layout", "header", "the strings block holds more than the names")
    slack = data[header.off_strings + header.size_strings :]
    # mkimage -E aligns the end, and before 2025.10 does not clear what it aligns with.
    if len(slack) >= _ALIGNMENT and not payloads.is_zero(slack):
        yield finding("fit.slack", "header", "the space after the strings block is not zero")
    for token in fit.flat.tokens:
        if token.tag is Tag.NOP:
            yield finding("fit.nop", f"offset {token.start}", "a NOP tag is not allowed in a FIT")
            return


def _check_names(fit: Fit) -> Iterator[Finding]:
    yield from check_addresses(fit)
    for node in fit.flat.root.walk():
        if node.name and "@" not in node.name and _NAME.fullmatch(node.name) is None:
            yield finding(
                "fit.name", node.path, "the name has a character that is not allowed in FIT names"
            )
        for name, count in Counter(child.name for child in node.children).items():
            if count > 1:
                path = f"{node.path.rstrip('/')}/{name}"
                yield finding(
                    "fit.duplicate-name", path, f"{count} nodes have this path: expected one"
                )


def _check_nodes(fit: Fit) -> Iterator[Finding]:
    root = fit.flat.root
    if not fit.description:
        yield finding("fit.description", "/", "there is no description, which U-Boot requires")
    yield from _unsigned(root, UNHASHED)
    for node in root.children:
        if node.name not in {"images", "configurations"}:
            yield finding(
                "fit.unexpected-node", node.path, "only /images and /configurations belong here"
            )
        else:
            kind = (
                forms.NodeKind.CONFIGS if node.name == "configurations" else forms.NodeKind.IMAGES
            )
            yield from _unsigned(node, node.properties.keys() - forms.allowed(kind))
    for image in fit.images:
        yield from _check_children(image.node, ("hash", "signature"))
        if image.signatures:
            message = "signed on its own, which does not bind it to a configuration"
            yield finding("fit.image-signature", image.path, message)
    for configuration in fit.configurations:
        yield from _unsigned(configuration.node, UNHASHED)
        yield from _check_children(configuration.node, ("hash", "signature"))
        # OE puts hash nodes there: their content is not signed, and nothing reads it.
        for child in configuration.node.children:
            if child.name.startswith("hash"):
                allowed = forms.allowed(forms.NodeKind.UNREAD)
                yield from _unsigned(child, child.properties.keys() - UNHASHED - allowed)


def _check_children(node: FlatNode, kinds: tuple[str, ...]) -> Iterator[Finding]:
    for child in node.children:
        if not child.name.startswith(kinds):
            expected = ", ".join(kinds)
            yield finding("fit.unexpected-node", child.path, f"expected only {expected} nodes here")
        elif child.children:
            yield finding("fit.unexpected-node", child.children[0].path, "expected no nodes here")
        if child.name.startswith("signature"):
            allowed = forms.allowed(forms.NodeKind.SIGNATURE)
            yield from _unsigned(child, child.properties.keys() - allowed)
        else:
            yield from _unsigned(child, UNHASHED)


def _unsigned(node: FlatNode, names: frozenset[str] | set[str]) -> Iterator[Finding]:
    for name in node.properties:
        if name in names:
            yield finding(
                "fit.unsigned-property",
                node.path,
                f"no signature covers the property {name!r} here",
            )


def _check_references(fit: Fit, configuration: Configuration) -> Iterator[Finding]:
    if not configuration.references:
        yield finding("fit.missing-image", configuration.path, "the configuration names no image")
    for name in REFERENCES:
        value = configuration.node.value(name)
        if value is None:
            continue
        named = configuration.references.get(name, ())
        if value != b"".join(image.encode() + b"\0" for image in named):
            yield finding(
                "fit.missing-image", configuration.path, f"{name!r} names an unknown image"
            )
        for image in map(fit.image, named):
            if image.type not in _TYPES.get(name, (image.type,)):
                expected = " or ".join(_TYPES[name])
                yield finding(
                    "fit.image-type",
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
    for image in fit.images if fit.configurations else ():
        if image.name not in used:
            yield finding("fit.unreferenced-image", image.path, "no configuration names this image")
    yield from check_configurations(fit)
    yield from check_default(fit)
    if fit.configurations and fit.default is None:
        names = ", ".join(each.name for each in fit.configurations)
        yield finding(
            "fit.no-default",
            "/configurations",
            f"there is no default: bootm boots it only by name, ADDRESS#NAME with one of {names}",
        )


def check_configurations(fit: Fit) -> Iterator[Finding]:
    """Yield a finding when there is no configuration: only its signature ties images together."""
    if not fit.configurations:
        yield finding(
            "fit.no-configuration",
            "/configurations",
            "there is no configuration, so no signature can cover all images together",
        )


def check_default(fit: Fit) -> Iterator[Finding]:
    """Yield a finding when the default configuration is named and does not exist."""
    if fit.default is not None and all(each.name != fit.default for each in fit.configurations):
        yield finding(
            "fit.default", "/configurations", f"the default {fit.default!r} does not exist"
        )
