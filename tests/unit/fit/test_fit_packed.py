# SPDX-License-Identifier: MIT
"""Keys put into the control device tree inside a U-Boot, however that is packed."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

import pytest
from tests import samples

from bootseal.errors import BootsealError, FormatError, UsageError
from bootseal.fit import control_dtb
from bootseal.fit.packed import control_trees
from bootseal.fit.sign import Request, SigningKey, sign_request
from bootseal.fit.verify.verdict import inspect
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.uboot import uimage

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.keys.signers.file import FileSigner

KEY: Final = samples.signer("rsa2048", 1)
OTHER: Final = samples.signer("rsa2048", 2)
ALGORITHM: Final = "sha256,rsa2048"
VERSION: Final = b"U-Boot 2026.01 (Nov 22 2026 - 04:49:03 +0000)\0\0\0"
CODE: Final = bytes(range(256)) * 15 + VERSION.ljust(256, b"\0")
TREE: Final = fdt.emit(fdt.Node("", {"compatible": b"acme,board\0"}))
SECOND: Final = fdt.emit(fdt.Node("", {"compatible": b"acme,other\0"}))


def image(name: str, kind: str, data: bytes, **more: bytes) -> fdt.Node:
    found = samples.image(name, kind, data)
    found.properties |= more
    found.children.append(samples.hash_node(data, "sha1"))
    found.children[-1].name = "hash-2"
    return found


def loader(*trees: bytes, **more: bytes) -> bytes:
    """A FIT with a U-Boot and a configuration for each device tree."""
    images = [image("uboot", "standalone", CODE, os=b"u-boot\0")]
    configurations = []
    for number, tree in enumerate(trees, 1):
        images.append(image(f"fdt-{number}", "flat_dt", tree, **more))
        named = {"firmware": b"uboot\0", "fdt": f"fdt-{number}\0".encode()}
        configurations.append(fdt.Node(f"c-{number}", named))
    images.append(image("tee", "tee", b"a trusted system " * 40))
    nodes = [
        fdt.Node("images", {}, images),
        fdt.Node("configurations", {"default": b"c-1\0"}, configurations),
    ]
    return fdt.emit(fdt.Node("", {"description": b"U-Boot\0", "timestamp": bytes(4)}, nodes))


def external(fit: bytes, *, position: int = 0, align: int = 4) -> bytes:
    """Move the data of all images behind the tree."""
    payloads: list[bytes] = []

    def change(root: fdt.Node) -> None:
        images = root.find("/images")
        assert images is not None
        for each in images.children:
            data = each.properties.pop("data")
            start = sum(map(len, payloads)) + position
            each.properties["data-size"] = len(data).to_bytes(4)
            name = "data-position" if position else "data-offset"
            each.properties[name] = start.to_bytes(4)
            payloads.append(data.ljust(-(-len(data) // align) * align, b"\0"))

    tree = fdt.rewrite(fit, change)
    size = -(-len(tree) // 4) * 4
    tree = tree[:4] + size.to_bytes(4) + tree[8:].ljust(size - 8, b"\0")
    return tree.ljust(position, b"\0") + b"".join(payloads)


def packed(content: bytes) -> bytes:
    """A legacy uImage of a U-Boot."""
    header = bytearray(uimage.MAGIC + bytes(60))
    header[28:32] = bytes((17, 22, 5, 0))
    return uimage.wrap(header, content)


SPL: Final = b"U-Boot SPL 2026.01\0".ljust(4096, b"\x11")
PACKAGES: Final[dict[str, bytes]] = {
    "tree": TREE,
    "u-boot.bin": CODE + TREE,
    "u-boot.itb": loader(TREE),
    "u-boot.itb, external": external(loader(TREE)),
    "u-boot.itb, external, aligned": external(loader(TREE), align=512),
    "u-boot.itb, by position": external(loader(TREE), position=8192),
    "u-boot.itb, two boards": loader(TREE, SECOND),
    "u-boot.itb, two boards, external": external(loader(TREE, SECOND)),
    "u-boot.img": packed(CODE + TREE),
    "u-boot-with-spl.bin": SPL + CODE + TREE,
    "u-boot-with-spl.bin, FIT": SPL + loader(TREE),
    "u-boot-with-spl.bin, external": SPL + external(loader(TREE)),
    "u-boot-with-spl.bin, uImage": SPL + packed(CODE + TREE),
    "u-boot-with-spl.bin, padded": SPL + external(loader(TREE)) + bytes(4096),
}
LOADERS = pytest.mark.parametrize("data", PACKAGES.values(), ids=PACKAGES.keys())


def trusting(data: bytes, key: FileSigner = KEY, hint: str = "key-1") -> bytes:
    return control_dtb.add_key(data, key.public_key, hint=hint, algorithm=ALGORITHM)


def check_package(data: bytes) -> None:
    """Check what an SPL checks: every hash of a FIT, both checksums of a uImage."""
    start = data.find(bytes.fromhex("d00dfeed"))
    if b"trusted system" in data:
        for each in fit_format.parse(data[start:], lenient=True).images:
            assert not each.misplaced
            assert bytes(each.payload[:1]) in {b"\xd0", b"\0", b"a"}
            for found in each.hashes:
                assert hashlib.new(found.algorithm, each.payload).digest() == found.value
    if uimage.MAGIC in data:
        at = data.find(uimage.MAGIC)
        assert uimage.is_header(data[at:])
        payload = data[at + 64 : at + 64 + int.from_bytes(data[at + 12 : at + 16])]
        assert zlib.crc32(payload) == int.from_bytes(data[at + 24 : at + 28])
        assert len(payload) >= len(CODE + TREE)


@LOADERS
def test_key_is_put_into_the_tree_with_what_protects_it(data: bytes) -> None:
    changed = trusting(data)
    check_package(changed)
    (key,) = control_dtb.read_keys(changed)
    assert (key.hint, key.required) == ("key-1", "conf")
    for tree in control_trees.find(changed):
        assert fdt.read(tree).find("/signature/key-key-1") is not None


@LOADERS
def test_second_key_joins_the_first_and_the_same_one_changes_nothing(data: bytes) -> None:
    first = trusting(data)
    assert trusting(first) == first
    both = trusting(first, OTHER, "key-2")
    check_package(both)
    assert {key.hint for key in control_dtb.read_keys(both)} == {"key-1", "key-2"}


@LOADERS
def test_fit_is_verified_with_the_tree_inside(data: bytes) -> None:
    fit = samples.sample(ALGORITHM)
    signed = sign_request(
        samples.unsigned([ALGORITHM]),
        Request(keys=[SigningKey(signer=KEY, hint="key-1")], timestamp=0),
    )
    assert not inspect(signed, trusting(data)).errors
    assert {e.id for e in inspect(signed, data).errors} == {"fit.no-required-key"}
    found = {e.id for e in inspect(signed, trusting(data, OTHER)).errors}
    assert found == {"fit.bad-signature"}
    assert fit.fit != signed


def node_signed(data: bytes) -> bytes:
    signature = fdt.Node("signature-1", {"algo": b"sha256,rsa2048\0", "value": bytes(256)})

    def change(root: fdt.Node) -> None:
        found = root.find("/configurations/c-1")
        assert found is not None
        found.children.append(signature)

    return fdt.rewrite(data, change)


def shared(data: bytes) -> bytes:
    """Let another image have the data of the device tree as well."""

    def change(root: fdt.Node) -> None:
        tree, other = root.find("/images/fdt-1"), root.find("/images/tee")
        assert tree is not None
        assert other is not None
        other.properties |= {n: v for n, v in tree.properties.items() if n.startswith("data")}
        other.children = tree.children

    size = fdt.total_size(data)
    changed = fdt.rewrite(data, change)
    return (
        changed.ljust(size, b"\0")[:4]
        + size.to_bytes(4)
        + changed.ljust(size, b"\0")[8:]
        + data[size:]
    )


REFUSED: Final[dict[str, tuple[bytes, type[BootsealError], str]]] = {
    "kernel FIT": (samples.sample(ALGORITHM).fit, FormatError, "is a FIT: expected U-Boot"),
    "kernel FIT behind an SPL": (
        SPL + samples.sample(ALGORITHM).fit,
        FormatError,
        "the device tree in it is a FIT",
    ),
    "signed": (node_signed(loader(TREE)), UsageError, "is signed"),
    "compressed": (loader(TREE, compression=b"gzip\0"), FormatError, "compressed with gzip"),
    "wrong hash": (
        loader(TREE).replace(b"acme,board", b"acme,b0ard"),
        FormatError,
        "does not have this hash",
    ),
    "wrong checksum": (packed(CODE + TREE)[:-1] + b"x", FormatError, "checksum of the payload"),
    "something behind": (SPL + loader(TREE) + b"more", UsageError, "other data follows it"),
    "data of two images": (
        shared(external(loader(TREE))),
        UsageError,
        "shares its data with another image",
    ),
    "no tree": (loader(), FormatError, "no device tree found"),
    "overlay": (
        fdt.emit(fdt.Node("", {}, [fdt.Node("fragment@0", {}, [fdt.Node("__overlay__")])])),
        FormatError,
        "is a device tree overlay",
    ),
}


@pytest.mark.parametrize(("data", "error", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_changed_is_refused(
    data: bytes, error: type[BootsealError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        trusting(data)


def test_boards_that_trust_different_keys_are_refused() -> None:
    with pytest.raises(FormatError, match="trust different keys"):
        control_dtb.read_keys(loader(trusting(TREE), trusting(SECOND, OTHER)))


@pytest.mark.parametrize("data", [external(loader(TREE)), loader(TREE)], ids=["external", "in it"])
def test_other_images_stay_as_they_are(data: bytes) -> None:
    before, after = (fit_format.parse(each, lenient=True) for each in (data, trusting(data)))
    for old, new in zip(before.images, after.images, strict=True):
        assert (old.payload == new.payload) is (old.name != "fdt-1")


CHANGES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "header": lambda data: data[:8] + b"x" + data[9:],
    "payload": lambda data: data[:100] + b"x" + data[101:],
    "cut": lambda data: data[:-1],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_damaged_uimage_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(FormatError, match="uImage"):
        uimage.payload(change(packed(CODE)))
