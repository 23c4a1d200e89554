# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bootseal.check.diff import DiskChange, Side, diff
from bootseal.disk import image as source
from bootseal.errors import FormatError
from bootseal.fit import control_dtb
from bootseal.keys.signers.file import FileSigner
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.check.conftest import Base


def compare(
    tmp_path: Path, first: bytes, second: bytes, keys: tuple[bytes, bytes] | None = None
) -> list[DiskChange]:
    (tmp_path / "first").write_bytes(first)
    (tmp_path / "second").write_bytes(second)
    with source.opened(tmp_path / "first") as a, source.opened(tmp_path / "second") as b:
        sides = Side(disk=a), Side(disk=b)
        if keys is not None:
            sides = Side(disk=a, control=keys[0]), Side(disk=b, control=keys[1])
        return list(diff(*sides))


def test_same_disks_do_not_differ(base: Base, tmp_path: Path) -> None:
    control = base.target.control

    assert compare(tmp_path, base.image, base.image, (control, control)) == []


def test_partitions_are_compared(base: Base, tmp_path: Path) -> None:
    partitions = list(base.target.partitions)
    partitions[0] = replace(partitions[0], size=MIB // 2)
    partitions[-1] = replace(partitions[-1], name="root-c-verity")

    found = compare(tmp_path, base.image, base.partitioned(partitions))

    assert [(c.part, c.where, c.name) for c in found] == [
        ("partition", "bootstate", "size"),
        ("partition", "root-b-verity", ""),
        ("partition", "root-c-verity", ""),
        ("partition", "bootstate", "content"),
    ]


def test_command_line_is_shown_and_equal_fits_only_once(base: Base, tmp_path: Path) -> None:
    changed = base.with_fit("boot-a", arguments=" debug")
    place = base.offset("boot-b")
    both = changed[:place] + changed[base.offset("boot-a") :][: len(base.fit)]
    both += changed[place + len(base.fit) :]

    found = compare(tmp_path, base.image, both)

    arguments = [c for c in found if c.part == "bootargs"]
    assert [c.where for c in arguments] == ["boot-a", "boot-b"]
    assert all(c.after == f"{c.before} debug" for c in arguments)
    assert {c.where.partition(":")[0] for c in found if c.part == "fit"} == {"boot-a"}
    assert ("boot-a: /images/fdt-a", "data") in {(c.where, c.name) for c in found}
    assert not [c for c in found if c.part == "root-hash"]


def test_policy_state_and_a_missing_fit_are_told(base: Base, tmp_path: Path) -> None:
    image = base.flipped("boot-a", MIB - 64 * KIB + 20)
    image = replace(base, image=image).changed("boot-b", 0, bytes(64))
    place = base.offset("bootstate")
    image = image[:place] + b"\xff" + image[place + 1 :]

    found = compare(tmp_path, base.image, image)

    assert [(c.part, c.where, c.name) for c in found] == [
        ("partition", "bootstate", "content"),
        ("policy", "boot-a", ""),
        ("fit", "boot-b", ""),
    ]


def test_keys_are_compared_by_fingerprint(base: Base, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=2048)).public_key
    control = base.target.control
    more = control_dtb.add_key(control, key, hint="next", algorithm="sha256,rsa2048")

    (found,) = compare(tmp_path, base.image, base.image, (control, more))

    assert (found.part, found.where, found.before) == ("key", key.fingerprint(), "")
    assert found.after.startswith("next, sha256,rsa2048")


def test_what_is_no_disk_is_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="has no partition table"):
        compare(tmp_path, base.image, bytes(MIB))
