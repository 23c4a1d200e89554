# SPDX-License-Identifier: MIT
"""What is said about the files of a built device."""

from __future__ import annotations

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


def test_root_holds_the_policy_key_of_the_device(directory: Path) -> None:
    wanted = expected.of_device(directory)
    with image.opened(wanted.image) as disk:
        entry = partitions.read(disk, disk.size).entry("root-a")
        assert entry is not None
        pem = rootfs.policy_key(disk, entry)

    assert wanted.policy_key is not None
    assert pem == wanted.policy_key.pem
