# SPDX-License-Identifier: MIT
"""`disk check` and the programs others use say the same of the same disks.

Where they do not, the reason stands here. sgdisk says nothing of what we find beyond the structure
(declared layout, boot code, hidden data); fit_check_sign accepts what our strict policy does not
(docs/fit.md); veritysetup reads the superblock, which the device does not; systemd-dissect looks
for the roots alone, and without their root hash.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from bootseal.units import MIB, SECTOR

if TYPE_CHECKING:
    from pathlib import Path

    from tests.device.conftest import Workbench
    from tests.uboot_verdict import Uboot

    from bootseal.findings.model import Finding

pytestmark = [pytest.mark.device, pytest.mark.timeout(900)]

BACKUP = -SECTOR


def flip(bench: Workbench, partition: str, offset: int) -> None:
    if offset < 0:
        offset += bench.disk.size(partition)
    old = bench.disk.read(partition, offset, 1)
    bench.disk.write(partition, offset, bytes([old[0] ^ 1]))


def errors(bench: Workbench, *prefixes: str) -> list[Finding]:
    return [f for f in bench.check().errors if f.id.startswith(prefixes)]


@pytest.mark.tool("sgdisk")
@pytest.mark.parametrize(
    ("offset", "good"),
    [
        pytest.param(None, True, id="as built"),
        pytest.param(450, False, id="protective type"),
        pytest.param(SECTOR + 56, False, id="disk guid"),
        pytest.param(SECTOR + 16, False, id="crc"),
        pytest.param(2 * SECTOR + 32, False, id="first sector of a partition"),
        pytest.param(2 * SECTOR + 56, False, id="name"),
        pytest.param(BACKUP + 40, False, id="backup header"),
        pytest.param(BACKUP - 128 * 128 + 56, False, id="backup entries"),
    ],
)
def test_sgdisk_agrees_about_the_tables(
    bench: Workbench, offset: int | None, *, good: bool
) -> None:
    if offset is not None:
        flip(bench, "", offset)

    done = subprocess.run(
        ["/usr/sbin/sgdisk", "--verify", bench.disk.path],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    theirs = "No problems found" in said and "invalid" not in said.lower()
    ours = not errors(bench, "disk.gpt", "disk.mbr", "disk.overlap", "disk.outside")

    assert (theirs, ours) == (good, good), said


def extract(bench: Workbench, partition: str, size: int) -> Path:
    path = bench.work / partition
    with path.open("wb") as file:
        for offset in range(0, size, MIB):
            file.write(bench.disk.read(partition, offset, min(MIB, size - offset)))
    return path


@pytest.mark.tool("veritysetup")
@pytest.mark.parametrize(
    ("partition", "offset", "good"),
    [
        pytest.param("root-b", None, True, id="as built"),
        pytest.param("root-b", 0, False, id="first block"),
        pytest.param("root-b", 31 * MIB + 5, False, id="a block"),
        pytest.param("root-b", -1, False, id="last byte"),
        pytest.param("root-b-verity", 4096 + 7, False, id="top of the tree"),
        pytest.param("root-b-verity", -1, False, id="last byte of the tree"),
        pytest.param("root-b-verity", 88, False, id="salt in the superblock"),
    ],
)
def test_veritysetup_agrees_about_the_tree(
    bench: Workbench, partition: str, offset: int | None, *, good: bool
) -> None:
    slot = bench.device.slots[1]
    sizes = {
        name: bench.device.artefact(bench.directory, role).stat().st_size
        for name, role in (("root-b", "root"), ("root-b-verity", "root-verity"))
    }
    if offset is not None:
        flip(bench, partition, offset % sizes[partition])

    files = [extract(bench, name, size) for name, size in sizes.items()]
    done = subprocess.run(
        ["/usr/sbin/veritysetup", "verify", *files, slot.root_hash],
        capture_output=True,
        check=False,
    )
    # It says that data is corrupted, and ends with 0 all the same.
    theirs = not done.returncode and not done.stderr
    ours = not errors(bench, "disk.verity", "disk.superblock")

    assert (theirs, ours) == (good, good), done.stderr


@pytest.mark.parametrize(
    ("needle", "good"),
    [
        pytest.param(None, True, id="as built"),
        pytest.param(b"bootseal.roothash=", False, id="command line"),
        pytest.param(b"flat_dt", False, id="type of an image"),
        pytest.param(b"DEV-fit-1", True, id="hint, which nothing signs"),
    ],
)
def test_fit_check_sign_agrees_about_the_fit(
    bench: Workbench, uboot: Uboot, needle: bytes | None, *, good: bool
) -> None:
    size = bench.device.artefact(bench.directory, "fit").stat().st_size
    fit = bench.disk.read("boot-a", 0, size)
    if needle is not None:
        flip(bench, "boot-a", fit.index(needle) + len(needle) - 1)

    control = bench.device.artefact(bench.directory, "control-dtb")
    path = extract(bench, "boot-a", size)
    done = subprocess.run(
        [uboot.tools / "fit_check_sign", "-f", path, "-k", control, "-c", "conf-a"],
        capture_output=True,
        check=False,
    )
    ours = not errors(bench, "fit.")

    # The hint is signed by nobody: fit_check_sign, as mainline U-Boot, accepts any.
    assert done.returncode == (0 if good else 1), done.stderr
    assert ours == (good and needle is None)


@pytest.mark.tool("systemd-dissect")
@pytest.mark.parametrize(
    ("places", "theirs", "ours"),
    [
        pytest.param([], True, True, id="as built"),
        pytest.param([("", SECTOR + 16), ("", BACKUP + 16)], False, False, id="both tables"),
        # It takes the other table, and asks no hash tree: nothing on the disk names its root hash.
        pytest.param([("", SECTOR + 16)], True, False, id="one table"),
        pytest.param([("root-b", 9000)], True, False, id="data of the root"),
    ],
)
def test_systemd_dissect_agrees_about_the_roots(
    bench: Workbench, places: list[tuple[str, int]], *, theirs: bool, ours: bool
) -> None:
    if os.geteuid() or not os.access("/dev/loop-control", os.W_OK):
        pytest.skip("systemd-dissect 252 needs root and loop devices")
    for place in places:
        flip(bench, *place)

    done = subprocess.run(
        ["systemd-dissect", "--json=short", bench.disk.path],
        capture_output=True,
        check=False,
    )

    assert (done.returncode == 0, not bench.check().errors) == (theirs, ours), done.stderr
    if theirs:
        # Of two roots that fit it takes that whose name is the higher version.
        found = {
            (each["partition_label"], each["partno"], each["partition_uuid"]): each["fstype"]
            for each in json.loads(done.stdout)["mounts"]
        }
        declared = {p.name: (p.name, p.number, p.uuid) for p in bench.device.partitions}
        assert found == {
            declared["root-b"]: "erofs",
            declared["root-b-verity"]: "DM_verity_hash",
        }
