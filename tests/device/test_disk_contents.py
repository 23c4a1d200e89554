# SPDX-License-Identifier: MIT
"""What is said about the files of a built device."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from bootseal import device as devices
from bootseal.check import expected
from bootseal.check.contents import check
from bootseal.check.rootfs import check as rootfs
from bootseal.disk import image, partitions
from bootseal.findings.model import Severity

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.device, pytest.mark.tool("fsck.erofs")]


def test_built_device_has_no_error_and_what_is_said_fits_a_screen(directory: Path) -> None:
    wanted = expected.of_device(directory)
    with image.opened(wanted.image) as disk:
        found = list(check(disk, wanted, partitions.read(disk, disk.size).entries))

    assert [f for f in found if f.severity is Severity.ERROR] == []
    # Debian's python3 is not position-independent.
    warned = {f.id: f.message for f in found if f.severity is Severity.WARNING}
    assert warned.keys() <= {"disk.elf-bind-now", "disk.elf-pie"}
    assert "python3" in warned.get("disk.elf-pie", "python3")
    assert 0 < len(found) < 25
    # Both roots are the same and looked at once.
    assert {f.where.partition(":")[0] for f in found} == {devices.load(directory).slots[0].root}


def test_applications_of_the_device_are_signed_by_its_own_key(directory: Path) -> None:
    wanted = expected.of_device(directory)
    assert len(wanted.app_keys) == 1
    other = dataclasses.replace(wanted, app_keys=frozenset({"00" * 32}))
    with image.opened(wanted.image) as disk:
        found = list(check(disk, other, partitions.read(disk, disk.size).entries))

    (error,) = [each for each in found if each.severity is Severity.ERROR]
    assert error.id == "disk.root-app-certificate"
    assert error.where.endswith(":/etc/verity.d/bootseal-app.crt")
    assert {error.observed} == wanted.app_keys


def test_root_holds_the_policy_key_of_the_device(directory: Path) -> None:
    wanted = expected.of_device(directory)
    with image.opened(wanted.image) as disk:
        entry = partitions.read(disk, disk.size).entry("root-a")
        assert entry is not None
        pem = rootfs.policy_key(disk, entry)

    assert wanted.policy_key is not None
    assert pem == wanted.policy_key.pem
