# SPDX-License-Identifier: MIT
"""What a release FIT may look like, apart from its signatures."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING

import pytest
from tests.tree_edits import node, put

from bootseal.errors import VerificationRefused
from bootseal.findings.model import Severity
from bootseal.fit.control_dtb import read_trust
from bootseal.fit.sign import Request, SigningKey, sign_request
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.structure import check
from bootseal.fit.verify.verdict import inspect, uboot_accepts
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.fit.verify.strictness import Strictness
    from bootseal.keys.signers.file import FileSigner

KERNEL = "/images/kernel-1"
HASH = f"{KERNEL}/hash-1"


def ids(data: bytes) -> set[str]:
    return {finding.id for finding in check(fit_format.parse(data))}


def add(path: str, name: str) -> Callable[[fdt.Node], None]:
    def change(root: fdt.Node) -> None:
        node(root, path).children.append(fdt.Node(name))

    return change


def hash_with(algorithm: str, digest: Callable[[bytes], bytes]) -> Callable[[fdt.Node], None]:
    def change(root: fdt.Node) -> None:
        data = node(root, KERNEL).properties["data"]
        hashed = {"algo": algorithm.encode() + b"\0", "value": digest(data)}
        node(root, HASH).properties = hashed

    return change


def no_hash(root: fdt.Node) -> None:
    node(root, KERNEL).children.clear()


def no_loadable_image(root: fdt.Node) -> None:
    node(root, "/configurations/conf-a").properties.clear()


def noload(root: fdt.Node) -> None:
    node(root, KERNEL).properties |= {"type": b"kernel_noload\0", "compression": b"gzip\0"}


def no_configuration(root: fdt.Node) -> None:
    node(root, "/configurations").children.clear()


def no_data(root: fdt.Node) -> None:
    del node(root, KERNEL).properties["data"]


FLAWS = {
    "empty description": (put("/", "description", b"\0"), "fit.description"),
    "odd name": (add("/images", "a?b"), "fit.name"),
    "node below a hash": (add(HASH, "deep"), "fit.unexpected-node"),
    "cipher node": (add(KERNEL, "cipher"), "fit.unexpected-node"),
    "dm-verity node": (add(KERNEL, "dm-verity"), "fit.unexpected-node"),
    "node below a configuration": (add("/configurations/conf-a", "x"), "fit.unexpected-node"),
    "signature of an image": (add(KERNEL, "signature-1"), "fit.image-signature"),
    "data on root": (put("/", "data", b""), "fit.unsigned-property"),
    "data on a hash": (put(HASH, "data", b""), "fit.unsigned-property"),
    "property of configurations": (put("/configurations", "x", b""), "fit.unsigned-property"),
    "no data": (no_data, "fit.no-data"),
    "D3 offset": (put(KERNEL, "data-offset", b"\xff" * 4), "fit.external-data"),
    "D4 load on a ramdisk": (put("/images/ramdisk-1", "load", bytes(4)), "fit.load-address"),
    "D8 compressed noload": (noload, "fit.noload-compressed"),
    "D10 other type": (put("/configurations/conf-a", "kernel", b"fdt-a\0"), "fit.image-type"),
    "S20 crc32": (hash_with("crc32", lambda d: zlib.crc32(d).to_bytes(4)), "fit.weak-hash"),
    "S20 sha1": (hash_with("sha1", lambda d: hashlib.sha1(d).digest()), "fit.weak-hash"),  # noqa: S324
    "unknown hash": (hash_with("sha3", lambda d: d), "fit.unknown-hash"),
    "S21 ignored hash": (put(HASH, "uboot-ignore", b"\0\0\0\1"), "fit.ignored-hash"),
    "S22 no hash": (no_hash, "fit.no-hash"),
    "wrong hash": (put(HASH, "value", bytes(32)), "fit.image-hash"),
    "no hash value": (put(HASH, "value", b""), "fit.image-hash"),
    "missing image": (put("/configurations/conf-a", "fdt", b"none\0"), "fit.missing-image"),
    "no image": (no_loadable_image, "fit.missing-image"),
    "no configuration": (no_configuration, "fit.no-configuration"),
    "unknown default": (put("/configurations", "default", b"x\0"), "fit.default"),
}


def test_genuine_fit_has_no_findings(unsigned: bytes) -> None:
    assert ids(unsigned) == set()


@pytest.mark.parametrize(("change", "finding"), FLAWS.values(), ids=FLAWS.keys())
def test_flaw_is_found(unsigned: bytes, change: Callable[[fdt.Node], None], finding: str) -> None:
    assert finding in ids(fdt.rewrite(unsigned, change))


def hash_of_configuration(**properties: bytes) -> Callable[[fdt.Node], None]:
    def change(root: fdt.Node) -> None:
        new = fdt.Node("hash-1", dict(properties))
        node(root, "/configurations/conf-a").children.append(new)

    return change


def test_hash_of_a_configuration_is_harmless(unsigned: bytes) -> None:
    """OE writes such nodes, with an `algo` only."""
    fit = fdt.rewrite(unsigned, hash_of_configuration(algo=b"sha256\0"))
    assert ids(fit) == set()


def test_hash_of_a_configuration_holds_nothing_else(unsigned: bytes) -> None:
    fit = fdt.rewrite(unsigned, hash_of_configuration(algo=b"sha256\0", value=bytes(32)))
    assert ids(fit) == {"fit.unsigned-property"}


def test_strong_hash_beside_a_weak_one_is_enough(unsigned: bytes) -> None:
    def weak_too(root: fdt.Node) -> None:
        value = zlib.crc32(node(root, KERNEL).properties["data"]).to_bytes(4)
        extra = fdt.Node("hash-2", {"algo": b"crc32\0", "value": value})
        node(root, KERNEL).children.append(extra)

    assert ids(fdt.rewrite(unsigned, weak_too)) == set()


def test_boot_cpu_is_found(unsigned: bytes) -> None:
    assert ids(unsigned[:28] + b"\0\0\0\1" + unsigned[32:]) == {"fit.layout"}


def test_memory_reservation_is_found(unsigned: bytes) -> None:
    tree = fdt.parse(unsigned)
    assert ids(fdt.emit(tree, reservations=[(4096, 4096)])) == {"fit.layout"}


def test_gap_before_the_strings_is_found(unsigned: bytes) -> None:
    size, _, strings = struct.unpack_from(">III", unsigned, 4)
    moved = bytearray(unsigned[:strings] + bytes(8) + unsigned[strings:])
    struct.pack_into(">I", moved, 4, size + 8)
    struct.pack_into(">I", moved, 12, strings + 8)
    assert ids(bytes(moved)) == {"fit.layout"}


def test_strings_block_with_more_than_names_is_found(unsigned: bytes) -> None:
    (size,) = struct.unpack_from(">I", unsigned, 32)
    grown = bytearray(unsigned + bytes(4))
    struct.pack_into(">I", grown, 4, len(grown))
    struct.pack_into(">I", grown, 32, size + 4)
    assert ids(bytes(grown)) == {"fit.layout"}


def test_hidden_bytes_behind_the_strings_are_found(unsigned: bytes) -> None:
    grown = bytearray(unsigned + b"hide")
    struct.pack_into(">I", grown, 4, len(grown))
    assert ids(bytes(grown)) == {"fit.slack"}


def test_nop_is_found(unsigned: bytes) -> None:
    flat = fdt.read(unsigned)
    images = flat.find("/images")
    assert images is not None
    first, header = images.children[0].start, flat.header
    begin, end = header.off_struct, header.off_struct + header.size_struct
    structure = unsigned[begin:first] + struct.pack(">I", 4) + unsigned[first:end]
    assert ids(fdt.assemble(bytes(16), structure, flat.strings)) == {"fit.nop"}


def test_image_signature_is_only_a_warning(unsigned: bytes) -> None:
    fit = fit_format.parse(fdt.rewrite(unsigned, add(KERNEL, "signature-1")))
    assert [finding.severity for finding in check(fit)] == [Severity.WARNING]


def sign_with(data: bytes, signer: FileSigner, strictness: Strictness) -> bytes:
    keys = [SigningKey(signer=signer, hint="dev")]
    return sign_request(data, Request(keys=keys, timestamp=0, strictness=strictness))


def without_configurations(root: fdt.Node) -> None:
    root.children[:] = [each for each in root.children if each.name != "configurations"]


@pytest.mark.parametrize("strictness", [STRICT, COMPAT], ids=["strict", "compat"])
def test_fit_of_images_alone_is_read_and_neither_verified_nor_signed(
    signed: bytes, control: bytes, signer: FileSigner, strictness: Strictness
) -> None:
    images = fdt.rewrite(signed, without_configurations)
    assert [image.name for image in fit_format.parse(images).images][:1] == ["kernel-1"]

    (problem,) = inspect(images, control, strictness=strictness).errors
    assert problem.id == "fit.no-configuration"
    assert "no signature can cover all images together" in problem.message
    with pytest.raises(VerificationRefused, match=r"fit\.no-configuration"):
        sign_with(images, signer, strictness)
    assert uboot_accepts(images, read_trust(control)) == {}


def put_default(value: bytes) -> Callable[[fdt.Node], None]:
    return put("/configurations", "default", value)


def no_default(root: fdt.Node) -> None:
    del node(root, "/configurations").properties["default"]


def test_missing_default_is_said(signed: bytes, control: bytes) -> None:
    evil = fdt.rewrite(signed, no_default)

    strict = inspect(evil, control)
    assert not strict.errors
    assert "fit.no-default" in {found.id for found in strict.findings}
    (problem,) = inspect(evil, control, strictness=COMPAT).errors
    assert (
        problem.message == "the FIT has no default: name one of conf-a, conf-b with --configuration"
    )
    assert not inspect(evil, control, "conf-b", strictness=COMPAT).errors


def test_default_that_does_not_exist_is_neither_verified_nor_signed(
    unsigned: bytes, signed: bytes, control: bytes, signer: FileSigner
) -> None:
    (problem,) = inspect(
        fdt.rewrite(signed, put_default(b"conf-9\0")), control, strictness=COMPAT
    ).errors
    assert problem.id == "fit.default"
    with pytest.raises(VerificationRefused, match=r"fit\.default"):
        sign_with(fdt.rewrite(unsigned, put_default(b"conf-9\0")), signer, COMPAT)
