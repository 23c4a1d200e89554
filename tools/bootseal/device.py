# SPDX-License-Identifier: MIT
"""`device.json`: what a build directory holds and how to run it (schema `bootseal.device/1`).

Both builds, bitbake's and the reference build, end in a directory with this file; every command
that looks at a device takes that directory and never asks which of the two made it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bootseal import documents
from bootseal.errors import FormatError, UsageError
from bootseal.files import opened, write_file
from bootseal.target import UNKNOWN_TARGET, Target
from bootseal.text import visible

SCHEMA: Final = "bootseal.device/1"
FILE_NAME: Final = "device.json"

ROM_ROLES: Final = ("rom", "firmware", "bl2", "bl31")
"""Artefacts of a device with a boot ROM: all of them or none. The ROM is TF-A's BL1, `firmware` the
FIP of BL2, BL31, U-Boot and their certificates."""

# What ends in QEMU's arguments: no program but QEMU, no property that names a file.
_SYSTEM: Final = re.compile(r"qemu-system-[a-z0-9_]{1,32}")
_MACHINE: Final = re.compile(
    r"[a-z0-9][a-z0-9._-]{0,63}"
    r"(,(accel|acpi|aia|aia-guests|aclint|gic-version|highmem|iommu|its|mte|ras|secure"
    r"|virtualization)=[a-z0-9.-]{1,16})*"
)
_CPU: Final = re.compile(r"[a-z0-9][A-Za-z0-9._-]{0,63}(,[a-z0-9_.-]{1,32}=(on|off|[0-9]{1,6}))*")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MOST_COUNTER: Final = 63
_MOST_CPUS: Final = 512
_MOST_MEMORY: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A file of the build directory; `path` is relative to it, `sha256` is lower-case hex."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """The virtual machine this device was built for; `memory` is in MiB."""

    system: str
    machine: str
    cpu: str
    cpus: int
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One GPT partition, declared or found; GUIDs are in lower case.

    Attributes:
        number: Counted from 1.
        name: GPT name.
        type: Type GUID.
        uuid: Unique GUID.
        offset: Bytes from the start of the disk.
        size: Bytes.
        attributes: The attribute bits of UEFI 2.10, section 5.3.3.
    """

    number: int
    name: str
    type: str
    uuid: str
    offset: int
    size: int
    attributes: int = 0

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class RawArea:
    """Bytes that no check of a disk follows: a boot loader that a boot ROM reads, for example.

    They are outside of the partitions, or one of them.

    Attributes:
        name: What the layout calls it.
        offset: Bytes from the start of the disk.
        size: Bytes; 0 if it may reach to the next partition.
        file: The file of the build it holds, empty if that is not declared.
    """

    name: str
    offset: int
    size: int
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedEvent:
    """An entry of the event log that a boot is expected to leave.

    Attributes:
        pcr: Index of the PCR.
        type: Number of the event type.
        sha256: What the PCR's SHA-256 bank is extended with, lower-case hex.
        data: Event data, lower-case hex.
    """

    pcr: int
    type: int
    sha256: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One bootable slot.

    Attributes:
        name: `a` or `b`.
        configuration: FIT configuration node that U-Boot boots from this slot.
        boot: Name of the partition that holds the FIT.
        root: Name of the partition that holds the root file system.
        verity: Name of the partition that holds its hash tree.
        root_hash: dm-verity root hash, lower-case hex.
        pcrs: Predicted SHA-256 PCR values by index, lower-case hex.
        events: Predicted event log, entry for entry, without its header.
    """

    name: str
    configuration: str
    boot: str
    root: str
    verity: str
    root_hash: str
    pcrs: dict[str, str]
    events: tuple[PredictedEvent, ...] = ()

    @classmethod
    def named(
        cls,
        name: str,
        *,
        root_hash: str = "",
        pcrs: dict[str, str] | None = None,
        events: tuple[PredictedEvent, ...] = (),
    ) -> Slot:
        """Return the slot whose configuration and partitions are called after it, as we do."""
        return cls(
            name=name,
            configuration=f"conf-{name}",
            boot=f"boot-{name}",
            root=f"root-{name}",
            verity=f"root-{name}-verity",
            root_hash=root_hash,
            pcrs=pcrs or {},
            events=events,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the build was made from, by digest; `purl` is its package URL if it is a package."""

    name: str
    version: str
    sha256: str
    purl: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """What the boot ROM starts from the disk.

    Attributes:
        mrk: SHA-256 of the master root key's SubjectPublicKeyInfo, which the ROM holds, lower-case
            hex.
        counter: Security version of the firmware: both counters of its certificates.
        banks: The partitions that hold the FIP, in the order in which they are tried.
    """

    mrk: str
    counter: int
    banks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A built device.

    Attributes:
        schema: Always `bootseal.device/1`.
        name: Short name, for example `reference-arm64`.
        profile: Key profile it was signed with: `dev` or `production`.
        login: Whether anyone can log in, for example to a root shell on its serial console.
        epoch: SOURCE_DATE_EPOCH of the build, seconds since 1970.
        qemu: The virtual machine; None for a board that is not one.
        artefacts: Files by role: `disk` (GPT image), `bios` (U-Boot with its control DTB),
            `control-dtb`, `fit`, `policy` (PCR signatures), `kernel`, `initramfs`, `root`, ...;
            with a boot ROM also those of `ROM_ROLES`.
        partitions: The disk's partitions in order.
        slots: The bootable slots in the order U-Boot tries them.
        keys: SHA-256 fingerprints of the SubjectPublicKeyInfo by role: `fit`, `policy`.
        inputs: Everything it was made from.
        target: Where its memory is.
        disk_guid: GUID of the disk, lower case; empty when the build does not decide it.
        areas: What the disk holds besides the slots, in separate partitions or outside of them.
        firmware: What its boot ROM starts; None for a device that starts with U-Boot.
    """

    schema: str = SCHEMA
    name: str
    profile: str
    login: bool
    epoch: int
    qemu: Qemu | None
    artefacts: dict[str, Artefact]
    partitions: tuple[Partition, ...]
    slots: tuple[Slot, ...]
    keys: dict[str, str]
    inputs: tuple[Input, ...] = field(default=())
    target: Target = field(default=UNKNOWN_TARGET)
    disk_guid: str = ""
    areas: tuple[RawArea, ...] = field(default=())
    firmware: Firmware | None = None

    def partition(self, name: str) -> Partition:
        """Return the partition called `name`.

        Raises:
            FormatError: There is none.
        """
        for partition in self.partitions:
            if partition.name == name:
                return partition
        known = ", ".join(p.name for p in self.partitions)
        raise FormatError(f"{FILE_NAME} has no partition {name!r}: it lists {known}")

    def artefact(self, directory: Path, role: str) -> Path:
        """Return the path of the artefact with the given role.

        Raises:
            FormatError: There is none.
        """
        try:
            return directory / self.artefacts[role].path
        except KeyError:
            known = ", ".join(self.artefacts)
            raise FormatError(f"{FILE_NAME} has no artefact {role!r}: it lists {known}") from None

    def first_code(self, directory: Path) -> Path:
        """Return the file with the first instruction: the boot ROM, or U-Boot without one.

        Raises:
            FormatError: There is none.
        """
        return self.artefact(directory, "bios" if self.firmware is None else "rom")


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file as lower-case hex.

    Raises:
        UsageError: As `files.opened`.
        OSError: Likewise.
    """
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(directory: Path, path: Path) -> Artefact:
    """Make the `Artefact` entry for a file below `directory`."""
    return Artefact(
        path=str(path.relative_to(directory)), sha256=digest_file(path), size=path.stat().st_size
    )


def save(device: Device, directory: Path) -> Path:
    """Write `device.json` into `directory` and return its path.

    Raises:
        FormatError: It describes a machine that `load` would refuse.
    """
    _check_machine(device.qemu, FILE_NAME)
    target = directory / FILE_NAME
    write_file(target, documents.dump(device))
    return target


def load(directory: Path) -> Device:
    """Read and validate `device.json` of a build directory.

    The directory may come from someone else: the machine is one that can start nothing but QEMU
    and name no file of the host, and artefacts are files inside the directory.

    Raises:
        UsageError: The directory holds no built device.
        FormatError: The file is not a valid `bootseal.device/1` document, a prediction in it is not
            hex, or it names what is outside the directory or is not a file.
    """
    path = directory / FILE_NAME
    if path.is_symlink():
        raise FormatError(f"{path} is a link: expected a file")
    try:
        device = documents.load(Device, path)
    except NotADirectoryError:
        raise UsageError(f"{directory} is a file: expected the directory of a device") from None
    except FileNotFoundError:
        raise UsageError(
            f"{directory} holds no {FILE_NAME}, so it is not a built device",
            hint=f"bootseal reference build {directory}",
        ) from None
    _check_machine(device.qemu, str(path))
    for role, artefact in device.artefacts.items():
        _check_place(directory, artefact.path, f"{path}: artefact {role!r}")
    for slot in device.slots:
        _check_digests(slot, f"{path}: slot {slot.name!r}")
    _check_firmware(device, str(path))
    return device


def _check_machine(qemu: Qemu | None, where: str) -> None:
    if qemu is None:
        return
    for name, text, pattern, example in (
        ("system", qemu.system, _SYSTEM, "qemu-system-aarch64"),
        ("machine", qemu.machine, _MACHINE, "virt-7.2,gic-version=3"),
        ("cpu", qemu.cpu, _CPU, "cortex-a57"),
    ):
        if pattern.fullmatch(text) is None:
            shown = visible(text)[:80]
            raise FormatError(
                f"{where}: qemu.{name} is '{shown}', which is not one that may be started: "
                f"expected a value such as {example}"
            )
    for name, number, most in (
        ("cpus", qemu.cpus, _MOST_CPUS),
        ("memory", qemu.memory, _MOST_MEMORY),
    ):
        if not 1 <= number <= most:
            raise FormatError(f"{where}: qemu.{name} is {number}: expected 1 to {most}")


def _check_digests(slot: Slot, where: str) -> None:
    predicted = {f"pcrs.{pcr}": text for pcr, text in slot.pcrs.items()}
    for number, event in enumerate(slot.events):
        predicted |= {f"events.{number}.sha256": event.sha256, f"events.{number}.data": event.data}
    for name, text in predicted.items():
        if _HEX.fullmatch(text) is None:
            shown = visible(text)[:80]
            raise FormatError(f"{where}: {name} is '{shown}': expected bytes in lower-case hex")


def _check_firmware(device: Device, where: str) -> None:
    """Refuse half a boot ROM, and firmware that names what is not there."""
    there = [role for role in ROM_ROLES if role in device.artefacts]
    wanted = [] if device.firmware is None else list(ROM_ROLES)
    if there != wanted:
        raise FormatError(
            f"{where} lists {', '.join(there) or 'no artefact'} of a boot ROM: expected"
            f" {', '.join(wanted) or 'none'}, as 'firmware' {'is' if wanted else 'is not'} there"
        )
    if device.firmware is None:
        return
    if _SHA256.fullmatch(device.firmware.mrk) is None:
        shown = visible(device.firmware.mrk)[:80]
        raise FormatError(f"{where}: firmware.mrk is '{shown}': expected 64 lower-case hex digits")
    if not 0 <= device.firmware.counter <= _MOST_COUNTER:
        raise FormatError(
            f"{where}: firmware.counter is {device.firmware.counter}: expected 0 to {_MOST_COUNTER}"
        )
    for bank in device.firmware.banks:
        device.partition(bank)


def _check_place(directory: Path, relative: str, what: str) -> None:
    place = Path(relative)
    if not relative or place.is_absolute() or ".." in place.parts:
        raise FormatError(f"{what} points outside the build directory")
    path = directory
    for part in place.parts:
        path /= part
        if path.is_symlink():
            raise FormatError(f"{what} is or is behind a link, {path}: expected a file")
    if path.exists() and not path.is_file():
        raise FormatError(f"{what} is not a file")
