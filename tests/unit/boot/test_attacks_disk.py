# SPDX-License-Identifier: MIT
"""What the attacks write to the disk, where, and what they leave alone."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks import forge
from bootseal.boot.attacks import root as root_attacks
from bootseal.boot.attacks import state as state_attacks
from bootseal.device import Artefact, Device, Partition, Qemu, Slot
from bootseal.errors import FormatError, UsageError
from bootseal.formats.fdt import model as fdt
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"bootstate": MIB, "boot-a": MIB, "boot-b": MIB, "root-a": MIB, "root-a-verity": MIB}
ROOT = bytes(range(256)) * 2 * KIB


@dataclass
class MemoryDisk:
    """A disk of partitions; "" is the gap in front of them."""

    parts: dict[str, bytearray] = field(
        default_factory=lambda: {name: bytearray(MIB) for name in ["", *SIZES]}
    )

    def size(self, partition: str) -> int:
        return len(self.parts[partition])

    def read(self, partition: str, offset: int, size: int) -> bytes:
        return bytes(self.parts[partition][offset : offset + size])

    def write(self, partition: str, offset: int, data: bytes) -> None:
        assert offset + len(data) <= self.size(partition)
        self.parts[partition][offset : offset + len(data)] = data

    def changed(self) -> set[str]:
        return {name for name, data in self.parts.items() if any(data)}


@dataclass
class MemoryLab:
    """A workplace without a machine."""

    device: Device
    directory: Path
    work: Path
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    extra: list[str] = field(default_factory=list)

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    @property
    def tpm(self) -> Path:
        return self.work / "tpm"

    def replace_bios(self, content: bytes) -> None:
        self.bios = content

    def replace_slot(self, slot: Slot) -> None:
        slots = tuple(slot if old.name == slot.name else old for old in self.device.slots)
        self.device = dataclasses.replace(self.device, slots=slots)

    def record_tpm(self) -> None:
        self.recorded = True

    def add_qemu(self, *arguments: str) -> None:
        self.extra += arguments


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
def lab(tmp_path: Path) -> MemoryLab:
    files = {"fit": fit(), "root": ROOT, "control-dtb": fdt.emit(fdt.Node("", {}, []))}
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
    return MemoryLab(device=device, directory=tmp_path, work=tmp_path / "work")


def test_flip_changes_one_byte_of_one_slot(lab: MemoryLab) -> None:
    fit_attacks.flip(fit_attacks.KERNEL)(lab)

    assert lab.disk.changed() == {"boot-a"}
    assert bytes(lab.disk.parts["boot-a"]).strip(b"\0") == b"j"


def test_flip_in_both_slots_changes_both(lab: MemoryLab) -> None:
    fit_attacks.flip(fit_attacks.KERNEL, "ab")(lab)

    assert lab.disk.changed() == {"boot-a", "boot-b"}


def test_replaced_goes_to_both_slots_and_leaves_the_policy(lab: MemoryLab) -> None:
    fit_attacks.replaced(fit_attacks.unsigned)(lab)

    assert lab.disk.changed() == {"boot-a", "boot-b"}
    assert not any(lab.disk.parts["boot-a"][-fit_attacks.POLICY_SIZE :])


def test_install_of_more_than_fits_in_front_of_the_policy_is_refused(lab: MemoryLab) -> None:
    with pytest.raises(UsageError, match="do not fit boot-a"):
        fit_attacks.install(lab, bytes(MIB - fit_attacks.POLICY_SIZE + 1))


def test_root_flip_inverts_one_bit(lab: MemoryLab) -> None:
    root_attacks.flip("verity", root_attacks.TOP_LEVEL)(lab)

    assert lab.disk.changed() == {"root-a-verity"}
    assert lab.disk.parts["root-a-verity"][root_attacks.TOP_LEVEL] == 1


def test_scatter_damages_many_blocks_and_spares_the_first(lab: MemoryLab) -> None:
    lab.disk.parts["root-a"][:] = bytes(MIB)
    lab.disk.parts["root-a"][: len(ROOT)] = ROOT

    root_attacks.scatter(lab)

    damaged = [i for i in range(len(ROOT)) if lab.disk.parts["root-a"][i] != ROOT[i]]
    assert len(damaged) > 16
    assert all(offset % root_attacks.BLOCK == 0 for offset in damaged)
    assert min(damaged) > len(ROOT) // 10 - root_attacks.BLOCK


def test_salt_comes_from_the_signed_command_line(lab: MemoryLab) -> None:
    assert root_attacks.salt(fit_attacks.original(lab), "conf-a") == "00ff"


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


def test_noise_fills_the_slot_state(lab: MemoryLab) -> None:
    state_attacks.noise(lab)

    assert lab.disk.changed() == {"bootstate"}


@pytest.mark.parametrize("name", ["verify=no", "bootcmd=", "bootargs=", "fdtcontroladdr="])
def test_smuggled_state_has_the_setting_and_a_valid_order(lab: MemoryLab, name: str) -> None:
    state_attacks.smuggle(lab)

    state = bytes(lab.disk.parts["bootstate"])
    assert f"\0{name}".encode() in state
    assert b"BOOT_ORDER=A B\0" in state


def test_offers_go_to_every_place_and_not_into_the_partition_table(lab: MemoryLab) -> None:
    state_attacks.offer_everywhere(lab)

    assert lab.disk.changed() == {"", "bootstate", "boot-a", "boot-b"}
    assert not any(lab.disk.parts[""][: 32 * KIB])
    assert (lab.work / "flash.img").stat().st_size == 64 * MIB
    assert {"-dtb", "-kernel", "-append", "-fw_cfg", "-drive"} <= set(lab.extra)
