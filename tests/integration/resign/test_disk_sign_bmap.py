# SPDX-License-Identifier: MIT
"""The block map of a disk that is re-signed, as bmaptool reads it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.unit.check.conftest import make_base

from bootseal.disk import bmap, partitions
from bootseal.disk import image as source
from bootseal.errors import UsageError
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.signers.file import FileSigner
from bootseal.resign import apply
from bootseal.resign import plan as late
from bootseal.resign.plan import Signing

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.check.expected import Expected
    from bootseal.resign.provenance import Provenance

pytestmark = pytest.mark.tool("bmaptool")
KEY = FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=4096))


@pytest.fixture
def target(tmp_path: Path) -> Expected:
    """Return a disk with holes, and the block map that bmaptool makes of it."""
    base = make_base(tmp_path)
    sparse = tmp_path / "sparse.img"
    subprocess.run(["cp", "--sparse=always", base.target.image, sparse], check=True)
    sparse.replace(base.target.image)
    made = subprocess.run(
        ["bmaptool", "create", base.target.image], check=True, capture_output=True
    )
    (tmp_path / "disk.img.bmap").write_bytes(made.stdout)
    return base.target


def sign(target: Expected, output: Path) -> Provenance:
    how = Signing(fit=KEY, hint="new", algorithm=Algorithm.parse("sha256,rsa4096"), trust=True)
    with source.opened(target.image) as disk:
        plan = late.plan(disk, target, partitions.read(disk, disk.size), how)
        return apply.write(target, plan, how, disk.path, output, who="me", when="now")


def copied(image: Path, target: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bmaptool", "copy", image, target], check=False, capture_output=True)


@pytest.mark.parametrize("name", ["disk.img", "signed.img"], ids=["in place", "elsewhere"])
def test_bmaptool_writes_the_signed_disk_by_its_new_block_map(
    target: Expected, tmp_path: Path, name: str
) -> None:
    unsigned = target.image.read_bytes()
    signed = tmp_path / name

    found = sign(target, signed)

    done = copied(signed, tmp_path / "device")
    assert done.returncode == 0, done.stderr
    assert b"no bmap" not in done.stderr
    assert (tmp_path / "device").read_bytes() == signed.read_bytes() != unsigned
    assert sorted(found.outputs) == [name, f"{name}.bmap"]
    with source.opened(signed) as disk:
        assert list(bmap.check(disk, signed)) == []


@pytest.mark.parametrize("place", ["disk.img", "disk.img.bmap"])
def test_bmaptool_refuses_what_was_changed_after_signing(
    target: Expected, tmp_path: Path, place: str
) -> None:
    sign(target, target.image)
    data = bytearray((tmp_path / place).read_bytes())
    at = data.index(b"chksum=") + 10 if place.endswith("bmap") else (2 << 20) + 100
    data[at] ^= 1
    (tmp_path / place).write_bytes(data)

    done = copied(target.image, tmp_path / "device")

    assert done.returncode != 0
    assert b"checksum" in done.stderr


def test_block_map_of_another_disk_is_refused_and_nothing_written(
    target: Expected, tmp_path: Path
) -> None:
    with target.image.open("r+b") as disk:
        disk.seek(7 << 20)
        disk.write(b"changed")

    with pytest.raises(UsageError, match="not the block map of this disk"):
        sign(target, tmp_path / "signed.img")

    assert not list(tmp_path.glob("signed*"))


def test_disk_without_block_map_gets_none_and_an_old_one_goes(
    target: Expected, tmp_path: Path
) -> None:
    (tmp_path / "disk.img.bmap").rename(tmp_path / "signed.img.bmap")

    found = sign(target, tmp_path / "signed.img")

    assert not (tmp_path / "signed.img.bmap").exists()
    assert sorted(found.outputs) == ["signed.img"]


def test_compressed_disk_keeps_what_its_block_map_lists(target: Expected, tmp_path: Path) -> None:
    subprocess.run(["gzip", target.image], check=True)
    packed = replace(target, image=tmp_path / "disk.img.gz")

    sign(packed, tmp_path / "signed.img")

    old = bmap.parse((tmp_path / "disk.img.bmap").read_bytes())
    new = bmap.parse((tmp_path / "signed.img.bmap").read_bytes())
    assert {start for start, _, _ in old.ranges} <= {start for start, _, _ in new.ranges}
    assert copied(tmp_path / "signed.img", tmp_path / "device").returncode == 0
    assert (tmp_path / "device").read_bytes() == (tmp_path / "signed.img").read_bytes()
