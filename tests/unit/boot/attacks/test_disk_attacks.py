# SPDX-License-Identifier: MIT
"""What the attacks write to the disk, where, and what they leave alone."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from bootseal.boot.attacks import firmware as firmware_attacks
from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks import forge, forge_bits
from bootseal.boot.attacks import root as root_attacks
from bootseal.boot.attacks import state as state_attacks
from bootseal.boot.scenario.workspace import Overlay, Workspace
from bootseal.device import Artefact, Device, Partition, Qemu, Slot
from bootseal.errors import FormatError, UsageError
from bootseal.formats import boot_partition
from bootseal.formats.fdt import model as fdt
from bootseal.formats.uboot import slot_state
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

SIZES = dict.fromkeys(("bootstate", "fw-a", "boot-a", "boot-b", "root-a", "root-a-verity"), MIB)
FLIP = forge_bits.flip(forge_bits.KERNEL)
ROOT = bytes(range(256)) * 2 * KIB


class MemoryDisk(Overlay):
    """A disk of partitions; "" is the gap in front of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.parts = {name: bytearray(MIB) for name in ["", *SIZES]}

    def size(self, partition: str) -> int:
        return len(self.parts[partition])

    def read(self, partition: str, offset: int, size: int) -> bytes:
        return bytes(self.parts[partition][offset : offset + size])

    def write(self, partition: str, offset: int, data: bytes) -> None:
        assert offset + len(data) <= self.size(partition)
        self.parts[partition][offset : offset + len(data)] = data

    def changed(self) -> set[str]:
        return {name for name, data in self.parts.items() if any(data)}


class MemoryWorkspace(Workspace):
    """A workspace whose disk is in memory."""

    disk: MemoryDisk

    def __init__(self, device: Device, directory: Path) -> None:
        super().__init__(device, directory, directory / "keys", directory / "work")
        self.disk = MemoryDisk(self.work / "disk.qcow2")


def image(name: str, data: bytes) -> fdt.Node:
    digest = hashlib.sha256(data).digest()
    properties = {"data": data, "compression": b"gzip\0"}
    return fdt.Node(name, properties, [fdt.Node("hash-1", {"algo": b"sha256\0", "value": digest})])


def fit() -> bytes:
    bootargs = b"quiet bootseal.slot=a bootseal.salt=00ff bootseal.blocks=1\0"
    tree = fdt.emit(fdt.Node("", {}, [fdt.Node("chosen", {"bootargs": bootargs}, [])]))
    images = [image("kernel-1", b"k" * 99), image("fdt-a", tree), image("fdt-b", tree)]
    configurations = [
        fdt.Node(
            f"conf-{slot}",
            {"kernel": b"kernel-1\0", "fdt": f"fdt-{slot}\0".encode()},
            [fdt.Node("signature-1", {"key-name-hint": b"dev\0"}, [])],
        )
        for slot in "ab"
    ]
    children = [fdt.Node("images", {}, images), fdt.Node("configurations", {}, configurations)]
    return fdt.emit(fdt.Node("", {"description": b"test\0"}, children))


@pytest.fixture
def workspace(tmp_path: Path) -> MemoryWorkspace:
    files = {"fit": fit(), "root": ROOT, "control-dtb": fdt.emit(fdt.Node("", {}, [])), "bios": b""}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "work").mkdir()
    partition = Partition(
        number=1, name="bootstate", type="", uuid="", offset=MIB, size=SIZES["bootstate"]
    )
    device = Device(
        name="test",
        profile="dev",
        login=True,
        epoch=0,
        qemu=Qemu(system="", machine="", cpu="", cpus=1, memory=1),
        artefacts={n: Artefact(path=n, sha256="", size=len(d)) for n, d in files.items()},
        partitions=(partition,),
        slots=(Slot.named("a"), Slot.named("b")),
        keys={},
    )
    return MemoryWorkspace(device, tmp_path)


def test_flip_changes_one_byte_of_one_slot(workspace: MemoryWorkspace) -> None:
    fit_attacks.changed(FLIP, "a")(workspace)

    assert workspace.disk.changed() == {"boot-a"}
    genuine = fit_attacks.original(workspace)
    written = workspace.disk.read("boot-a", 0, len(genuine))
    assert [(a, b) for a, b in zip(genuine, written, strict=True) if a != b] == [
        (ord("k"), ord("j"))
    ]


def test_flip_in_both_slots_changes_both(workspace: MemoryWorkspace) -> None:
    fit_attacks.changed(FLIP)(workspace)

    assert workspace.disk.changed() == {"boot-a", "boot-b"}


def test_replaced_goes_to_both_slots_and_leaves_the_policy(workspace: MemoryWorkspace) -> None:
    fit_attacks.changed(state_attacks.UNSIGNED)(workspace)

    assert workspace.disk.changed() == {"boot-a", "boot-b"}
    assert not any(workspace.disk.parts["boot-a"][-boot_partition.POLICY_SIZE :])


def test_install_of_more_than_fits_in_front_of_the_policy_is_refused(
    workspace: MemoryWorkspace,
) -> None:
    with pytest.raises(UsageError, match="do not fit boot-a"):
        fit_attacks.install(workspace, bytes(MIB - boot_partition.POLICY_SIZE + 1))


def test_bank_keeps_nothing_of_a_longer_boot_loader(workspace: MemoryWorkspace) -> None:
    """The boot ROM would refuse the bank for what is left, whatever the FIP in front of it is."""
    for content in (b"longer", b"short"):
        firmware_attacks.install(workspace, content, "a")

    assert workspace.disk.parts["fw-a"].rstrip(b"\0") == b"short"


def test_root_flip_inverts_one_bit(workspace: MemoryWorkspace) -> None:
    root_attacks.flip("verity", root_attacks.TOP_LEVEL)(workspace)

    assert workspace.disk.changed() == {"root-a-verity"}
    assert workspace.disk.parts["root-a-verity"][root_attacks.TOP_LEVEL] == 1


def test_scatter_damages_many_blocks_and_spares_the_first(workspace: MemoryWorkspace) -> None:
    workspace.disk.parts["root-a"][:] = bytes(MIB)
    workspace.disk.parts["root-a"][: len(ROOT)] = ROOT

    root_attacks.scatter(workspace)

    damaged = [i for i in range(len(ROOT)) if workspace.disk.parts["root-a"][i] != ROOT[i]]
    assert len(damaged) > 16
    assert all(offset % root_attacks.BLOCK == 0 for offset in damaged)
    assert min(damaged) > len(ROOT) // 10 - root_attacks.BLOCK


def test_salt_comes_from_the_signed_command_line(workspace: MemoryWorkspace) -> None:
    assert root_attacks.salt(fit_attacks.original(workspace), "conf-a") == "00ff"


def test_salt_of_a_fit_without_one_is_refused() -> None:
    images = fdt.Node("images", {}, [image("fdt-a", fdt.emit(fdt.Node()))])
    conf = fdt.Node("configurations", {}, [fdt.Node("conf-a", {"fdt": b"fdt-a\0"}, [])])

    with pytest.raises(FormatError, match=r"no bootseal\.salt"):
        root_attacks.salt(fdt.emit(fdt.Node("", {}, [images, conf])), "conf-a")


def test_attacker_program_is_an_arm64_elf_that_says_who_it_is() -> None:
    program = root_attacks.attacker_program("test")

    assert program.startswith(b"\x7fELF\x02\x01\x01")
    assert int.from_bytes(program[18:20], "little") == 183
    assert f"{forge.SENTINEL} test".encode() in program


def test_noise_fills_the_slot_state(workspace: MemoryWorkspace) -> None:
    state_attacks.noise(workspace)

    assert workspace.disk.changed() == {"bootstate"}


def test_torn_state_has_no_valid_first_copy_and_the_settings_in_the_second(
    workspace: MemoryWorkspace,
) -> None:
    state_attacks.torn(workspace)

    state = bytes(workspace.disk.parts["bootstate"])
    first, second = (state[p : p + slot_state.SIZE] for p in slot_state.places(MIB))
    assert slot_state.counts([first, second]) == 1
    assert b"\0verify=no\0" in second
    assert b"BOOT_ORDER=B A\0" in second


@pytest.mark.parametrize("name", ["verify=no", "bootcmd=", "bootargs=", "fdtcontroladdr="])
def test_smuggled_state_has_the_setting_and_a_valid_order(
    workspace: MemoryWorkspace, name: str
) -> None:
    state_attacks.smuggle(workspace)

    state = bytes(workspace.disk.parts["bootstate"])
    assert f"\0{name}".encode() in state
    assert b"BOOT_ORDER=A B\0" in state


def test_offers_go_to_every_place_and_not_into_the_partition_table(
    workspace: MemoryWorkspace,
) -> None:
    state_attacks.offer_everywhere(workspace)

    assert workspace.disk.changed() == {"", "bootstate", "boot-a", "boot-b"}
    assert not any(workspace.disk.parts[""][: 32 * KIB])
    assert (workspace.work / "flash.img").stat().st_size == 64 * MIB
    assert {"-dtb", "-kernel", "-append", "-fw_cfg", "-drive"} <= set(workspace.machine().extra)
