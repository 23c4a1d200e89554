# SPDX-License-Identifier: MIT
"""What cannot be assembled is refused before any program runs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError, UsageError
from bootseal.fit.build import FitSpec, build, detect_compression
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from pathlib import Path


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
