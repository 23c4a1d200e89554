# SPDX-License-Identifier: MIT
"""What cannot be assembled is refused before any program runs."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import lzma
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError, UsageError
from bootseal.fit.build import FitSpec, architecture, build, detect_compression, load_address
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def lzma_alone(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_ALONE)


@pytest.fixture
def spec(tmp_path: Path) -> FitSpec:
    kernel = tmp_path / "Image.gz"
    kernel.write_bytes(b"\x1f\x8b kernel")
    tree = tmp_path / "board.dtb"
    tree.write_bytes(fdt.emit(fdt.Node("", {"model": b"board\0"})))
    return FitSpec(
        description="A test",
        kernel=kernel,
        compression="gzip",
        load=0x40400000,
        entry=0x40400000,
        fdts={"a": tree},
        ramdisk=None,
        hint="dev",
        algorithm="sha256,rsa2048",
        arch="arm64",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"description": 'x"; evil'}, "description", id="quote in description"),
        pytest.param({"description": "two\nlines"}, "description", id="two lines"),
        pytest.param({"description": ""}, "description", id="no description"),
        pytest.param({"hint": "a/b"}, "hint", id="hint"),
        pytest.param({"algorithm": "sha1,rsa2048"}, "sha1,rsa2048", id="sha1"),
        pytest.param({"load": 1 << 32}, "load address 0x100000000", id="load"),
        pytest.param({"entry": -1}, "entry address", id="entry"),
        pytest.param({"fdts": {}}, "no device tree", id="no device tree"),
        pytest.param({"compression": "none"}, "compression 'gzip'", id="compression"),
        pytest.param({"arch": "arm 64"}, "architecture", id="architecture"),
    ],
)
def test_bad_specification_is_refused(
    spec: FitSpec, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    bad = dataclasses.replace(spec, **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=reason):
        build(bad, tmp_path / "x.itb", epoch=0)


def test_device_tree_that_is_none_is_refused(spec: FitSpec, tmp_path: Path) -> None:
    spec.fdts["a"].write_text("not a device tree, but as long as the head of one")
    with pytest.raises(FormatError, match=r"board\.dtb: device tree at offset 0"):
        build(spec, tmp_path / "x.itb", epoch=0)
    assert not (tmp_path / "x.itb").exists()


def test_bad_configuration_name_is_refused(spec: FitSpec, tmp_path: Path) -> None:
    bad = dataclasses.replace(spec, fdts={"a b": spec.fdts["a"]})
    with pytest.raises(UsageError, match="configuration name 'a b'"):
        build(bad, tmp_path / "x.itb", epoch=0)


def test_missing_file_is_named(spec: FitSpec, tmp_path: Path) -> None:
    bad = dataclasses.replace(spec, ramdisk=tmp_path / "none")
    with pytest.raises(UsageError, match="ramdisk: there is no file"):
        build(bad, tmp_path / "x.itb", epoch=0)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"MZ\x40\xfa", "none"),
        (b"", "none"),
    ],
)
def test_compression_is_detected(tmp_path: Path, start: bytes, name: str) -> None:
    (tmp_path / "x").write_bytes(start)
    assert detect_compression(tmp_path / "x") == name


def kernel_file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "kernel"
    path.write_bytes(data)
    return path


ARM64 = bytes(0x38) + b"ARM\x64"
ZIMAGE = bytes(0x24) + bytes.fromhex("18286f01")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma_alone])
def test_architecture_is_that_of_the_kernel_however_it_is_packed(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    assert architecture(kernel_file(tmp_path, pack(ARM64))) == "arm64"
    assert architecture(kernel_file(tmp_path, pack(ZIMAGE)), "arm") == "arm"


@pytest.mark.parametrize(
    ("data", "named", "reason"),
    [
        (ZIMAGE, "arm64", "is a kernel for arm: expected one for arm64"),
        (gzip.compress(ARM64), "riscv", "is a kernel for arm64: expected one for riscv"),
        (b"x" * 4096, None, "its architecture cannot be detected"),
        (b"\x28\xb5\x2f\xfd" + bytes(64), None, "its architecture cannot be detected"),
        (ARM64, "aarch64", "architecture 'aarch64': U-Boot knows"),
    ],
    ids=["zImage", "Image.gz", "unknown", "zstd", "name"],
)
def test_kernel_of_another_architecture_is_refused(
    tmp_path: Path, data: bytes, named: str | None, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        architecture(kernel_file(tmp_path, data), named)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x1f\x8b kernel", "cannot be unpacked"),
        (lzma.compress(ARM64), "is a file compressed with xz"),
        (b"\x02\x21\x4c\x18" + bytes(64), "lz4 in a form that U-Boot cannot unpack"),
        (bytes.fromhex("27051956") + bytes(60), "is a legacy uImage"),
        (gzip.compress(bytes.fromhex("27051956") + bytes(60)), "the contents of .* uImage"),
        (gzip.compress(b"\x7fELF" + bytes(60)), "is an ELF file"),
        (b"MZ\0\0zimg" + bytes(64), "is an EFI zboot kernel"),
        (fdt.emit(fdt.Node("", {"model": b"board\0"})), "is a device tree"),
    ],
    ids=["broken", "xz", "lz4 -l", "uImage", "packed uImage", "vmlinux.gz", "zboot", "tree"],
)
def test_kernel_that_u_boot_cannot_start_is_refused(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    with pytest.raises(FormatError, match=reason):
        architecture(kernel_file(tmp_path, data), "arm64")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (bytes(0x30) + b"RISCV\0\0\0", "riscv"),
        (bytes(0x38) + b"RSC\x05", "riscv"),
        (bytes(0x24) + bytes.fromhex("016f2818"), "arm"),
        (bytes(0x202) + b"HdrS" + bytes(0x30) + b"\1", "x86_64"),
        (bytes(0x202) + b"HdrS" + bytes(0x30) + b"\0", "x86"),
    ],
    ids=["old Image", "Image", "big-endian zImage", "bzImage of 64 bits", "bzImage of 32 bits"],
)
def test_architecture_is_the_one_of_the_header(tmp_path: Path, data: bytes, name: str) -> None:
    assert architecture(kernel_file(tmp_path, data)) == name


@pytest.mark.parametrize("data", [b"x" * 4096, b"\x28\xb5\x2f\xfd" + bytes(64)])
def test_kernel_that_says_nothing_is_what_it_is_named(tmp_path: Path, data: bytes) -> None:
    assert architecture(kernel_file(tmp_path, data), "mips") == "mips"


def test_load_address_is_known_for_virtual_boards_alone() -> None:
    assert {name: load_address(name) for name in ("arm64", "arm", "riscv")} == {
        "arm64": 0x40400000,
        "arm": 0x40400000,
        "riscv": 0x84000000,
    }
    with pytest.raises(UsageError, match="no load address is known for mips"):
        load_address("mips")


def test_overlay_as_device_tree_of_a_configuration_is_refused(
    spec: FitSpec, tmp_path: Path
) -> None:
    fragment = fdt.Node("fragment@0", {}, [fdt.Node("__overlay__", {"status": b"okay\0"})])
    spec.fdts["a"].write_bytes(fdt.emit(fdt.Node("", {}, [fragment])))

    with pytest.raises(UsageError, match=r"board\.dtb is an overlay"):
        build(spec, tmp_path / "x.itb", epoch=0)
