# SPDX-License-Identifier: MIT
"""What only who holds the key can get wrong: refused before signing, and when signed all the same.

Rows S20 to S22, S24 and D6 to D11 of the attack catalogue.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import zlib
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import VerificationRefused
from bootseal.fit.control_dtb import read_trust
from bootseal.fit.sign import sign
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.fit.verify.verdict import check_fit, inspect
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.fit.verify.strictness import Strictness
    from bootseal.keys.signers.file import FileSigner

KERNEL = "/images/kernel-1"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "lzma": lzma.compress,
}


def node(root: fdt.Node, path: str) -> fdt.Node:
    found = root.find(path)
    assert found is not None
    return found


def put(path: str, **properties: bytes) -> Callable[[fdt.Node], None]:
    named = {name.replace("_", "-"): value for name, value in properties.items()}
    return lambda root: node(root, path).properties.update(named)


def data(root: fdt.Node, path: str, payload: bytes, compression: str) -> None:
    image = node(root, path)
    image.properties |= {"data": payload, "compression": compression.encode() + b"\0"}
    image.children[0].properties["value"] = hashlib.sha256(payload).digest()


def hashed_by(algorithm: str, digest: Callable[[bytes], bytes]) -> Callable[[fdt.Node], None]:
    def change(root: fdt.Node) -> None:
        value = digest(node(root, KERNEL).properties["data"])
        named = {"algo": algorithm.encode() + b"\0", "value": value}
        node(root, f"{KERNEL}/hash-1").properties = named

    return change


def bomb(path: str, compression: str) -> Callable[[fdt.Node], None]:
    pack = PACKERS[compression]
    size = (129 << 20) if path == KERNEL else (1 << 20)
    return lambda root: data(root, path, pack(bytes(size)), compression)


def noload(root: fdt.Node) -> None:
    data(root, KERNEL, gzip.compress(b"kernel"), "gzip")
    node(root, KERNEL).properties["type"] = b"kernel_noload\0"


def over_each_other(root: fdt.Node) -> None:
    """Two kernels of a configuration overlap in memory."""
    second = node(root, "/images/ramdisk-1")
    second.properties |= {"type": b"kernel\0", "load": (0x40400010).to_bytes(4)}
    for conf in node(root, "/configurations").children:
        conf.properties["loadables"] = conf.properties.pop("ramdisk")
        conf.children[0].properties["sign-images"] = b"kernel\0fdt\0loadables\0"


def no_hash(root: fdt.Node) -> None:
    node(root, KERNEL).children.clear()


def verity(root: fdt.Node) -> None:
    node(root, KERNEL).children.append(fdt.Node("dm-verity", {"root-hash": b"x\0"}))


MISTAKES = {
    "S20 crc32": (hashed_by("crc32", lambda d: zlib.crc32(d).to_bytes(4)), "weak-hash", True),
    "S20 md5": (hashed_by("md5", lambda d: hashlib.md5(d).digest()), "weak-hash", True),  # noqa: S324
    "S20 sha1": (hashed_by("sha1", lambda d: hashlib.sha1(d).digest()), "weak-hash", True),  # noqa: S324
    "S21 uboot-ignore": (
        put(f"{KERNEL}/hash-1", uboot_ignore=b"\0\0\0\1"),
        "ignored-hash",
        True,
    ),
    "S22 no hash": (no_hash, "no-hash", False),
    "D4 load on a ramdisk": (put("/images/ramdisk-1", load=bytes(4)), "load-address", True),
    "D6 loads overlap": (over_each_other, "load-overlap", True),
    "D8 compressed kernel_noload": (noload, "noload-compressed", True),
    "D9 gzip device tree": (bomb("/images/fdt-a", "gzip"), "decompressed-size", True),
    "D10 type": (put("/configurations/conf-a", kernel=b"ramdisk-1\0"), "image-type", True),
    "D11 dm-verity": (verity, "unexpected-node", True),
}


# Each has to be packed, which takes a second or two.
BOMBS = [
    pytest.param(
        bomb(KERNEL, packer),
        "decompressed-size",
        True,
        id=f"D7 {packer} kernel",
        marks=pytest.mark.slow,
    )
    for packer in PACKERS
]
ROWS = [pytest.param(*row, id=name) for name, row in MISTAKES.items()] + BOMBS


@pytest.mark.parametrize(("change", "finding", "uboot"), ROWS)
def test_mistake_is_refused_at_signing_and_when_signed(
    unsigned: bytes,
    signer: FileSigner,
    control: bytes,
    force_sign: Callable[[bytes], bytes],
    change: Callable[[fdt.Node], None],
    finding: str,
    uboot: bool,  # noqa: FBT001 - a column of the table
) -> None:
    mistaken = fdt.rewrite(unsigned, change)
    with pytest.raises(VerificationRefused, match=rf"fit\.{finding}"):
        sign(mistaken, signer, "dev", timestamp=0)
    fit = force_sign(mistaken)
    assert {f.id for f in inspect(fit, control).errors} == {f"fit.{finding}"}
    assert (not inspect(fit, control, strictness=COMPAT).errors) is uboot


def test_force_signed_fit_without_a_mistake_is_accepted(
    unsigned: bytes, control: bytes, force_sign: Callable[[bytes], bytes]
) -> None:
    assert inspect(force_sign(unsigned), control).errors == ()


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
def test_compressed_kernel_that_fits_is_signed(
    unsigned: bytes, signer: FileSigner, compression: str
) -> None:
    pack = PACKERS[compression]
    payload = pack(bytes(range(256)) * 64)
    sign(
        fdt.rewrite(unsigned, lambda root: data(root, KERNEL, payload, compression)),
        signer,
        "dev",
        timestamp=0,
    )


def test_damaged_compression_is_left_to_the_target(unsigned: bytes, signer: FileSigner) -> None:
    def change(root: fdt.Node) -> None:
        data(root, KERNEL, b"\x1f\x8bnot gzip", "gzip")

    sign(fdt.rewrite(unsigned, change), signer, "dev", timestamp=0)


def test_ignored_hash_is_not_even_compared_by_uboot(
    unsigned: bytes, control: bytes, force_sign: Callable[[bytes], bytes]
) -> None:
    """S21: the target skips it; its host tools do not."""
    ignored = put(f"{KERNEL}/hash-1", uboot_ignore=b"\0\0\0\1", value=bytes(32))
    fit = force_sign(fdt.rewrite(unsigned, ignored))
    assert inspect(fit, control, strictness=COMPAT).errors == ()
    found = {finding.id for finding in inspect(fit, control).errors}
    assert found == {"fit.ignored-hash", "fit.image-hash"}


@pytest.mark.parametrize("read", [STRICT, COMPAT], ids=["strict", "compat"])
def test_fit_that_was_read_otherwise_is_not_checked(
    signed: bytes, control: bytes, read: Strictness
) -> None:
    checked = COMPAT if read is STRICT else STRICT

    with pytest.raises(ValueError, match="is read by its parse"):
        check_fit(read.parse(signed), read_trust(control), strictness=checked)
