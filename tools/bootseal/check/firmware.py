# SPDX-License-Identifier: MIT
"""The boot loaders on a disk: what each bank holds, held against the key in the boot ROM.

The layer's ROM starts a bank whole or not at all. Here, too, every byte of a bank is covered or has
one right value, and U-Boot is the one with whose keys the FITs are checked.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.check.expected import BOOTSTATE
from bootseal.errors import FormatError, VerificationRefused
from bootseal.files import BOOT_LOADER, read_bounded
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, errors
from bootseal.firmware import banks, rom
from bootseal.formats import bank_choice, boot_partition, fip
from bootseal.formats.uboot.binary import version_string

if TYPE_CHECKING:
    from bootseal.check.expected import Expected
    from bootseal.device import Firmware, Partition
    from bootseal.disk.hash_tree import Readable
    from bootseal.disk.image import Disk
    from bootseal.disk.partitions import Table
    from bootseal.firmware.verify import FirmwareVerdict
    from bootseal.formats.fip import Fip

BROUGHT: Final = ", boot loaders"
"""Behind the name of a boot partition: the boot loaders that its release brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """A bank with a whole FIP.

    Attributes:
        entry: Its partition.
        fip: The FIP at its start.
        verdict: What is known of that.
        good: Whether the ROM's key leads to all of it, and it is the one that belongs there.
    """

    entry: Partition
    fip: Fip
    verdict: FirmwareVerdict
    good: bool

    @property
    def brought(self) -> bool:
        """Whether it is not started itself, but what a release brings for the banks."""
        return self.entry.name.endswith(BROUGHT)


def brought(disk: Disk, boot: Partition) -> Partition | None:
    """Return where in a boot partition the boot loaders are that a release brings, if it does."""
    if not boot_partition.find_loaders(disk.view(boot.offset, boot.size)):
        return None
    return dataclasses.replace(
        boot,
        name=f"{boot.name}{BROUGHT}",
        offset=boot.offset + boot_partition.loaders_place(boot.size),
        size=boot_partition.LOADERS_SIZE,
    )


def check(disk: Disk, target: Expected, table: Table) -> tuple[list[Finding], tuple[Bank, ...]]:
    """Check the boot loaders of a device with a boot ROM.

    Args:
        disk: The disk.
        target: What it is checked against.
        table: The partitions of the disk.

    Returns:
        What is wrong, and the banks that hold a FIP, with what releases bring for them behind; of
        a device without a boot ROM none.
    """
    firmware = target.firmware
    if firmware is None:
        return [*_unchecked(disk, target, table)], ()
    from bootseal.firmware.verify import check as verify  # noqa: PLC0415 - slow to load

    findings = [*_rom(target, firmware), *check_choice(disk, table)]
    held: list[Bank] = []
    for entry in _places(disk, target, table, firmware):
        try:
            found = fip.parse(banks.content(disk, entry.offset, entry.size))
        except FormatError as error:
            findings.append(
                finding("disk.firmware", entry.name, error.message, offset=entry.offset)
            )
            continue
        verdict = verify(found, firmware.mrk)
        problems = [
            *_chain(entry, found, verdict, firmware),
            *_of_build(entry, found, verdict, target, firmware),
        ]
        findings += problems
        held.append(Bank(entry=entry, fip=found, verdict=verdict, good=not errors(problems)))
    return findings, tuple(held)


def check_brought(
    disk: Disk, boot: Partition, target: Expected
) -> tuple[list[Finding], Bank | None]:
    """Check the boot loaders that an update brings, which may be newer than the device's own.

    Args:
        disk: Where its boot partition is.
        boot: That partition.
        target: The device that it is for.

    Returns:
        What is wrong, and the boot loaders where there is a FIP.
    """
    entry, firmware = brought(disk, boot), target.firmware
    if entry is None:
        return [], None
    if firmware is None:
        return [_unknown(entry)], None
    from bootseal.firmware.verify import check as verify  # noqa: PLC0415 - slow to load

    try:
        found = fip.parse(banks.content(disk, entry.offset, entry.size))
    except FormatError as error:
        return [finding("disk.firmware", entry.name, error.message, offset=entry.offset)], None
    verdict = verify(found, firmware.mrk)
    problems = [
        *_chain(entry, found, verdict, firmware),
        *_for_device(entry, found, verdict, target, firmware),
    ]
    return problems, Bank(entry=entry, fip=found, verdict=verdict, good=not errors(problems))


def _places(disk: Disk, target: Expected, table: Table, firmware: Firmware) -> Iterator[Partition]:
    """Yield the banks, and where in boot partitions there are boot loaders for them."""
    for name in firmware.banks:
        entry = table.entry(name)
        if entry is not None:
            yield entry
    for slot in target.slots:
        boot = table.entry(slot.boot)
        found = None if boot is None else brought(disk, boot)
        if found is not None:
            yield found


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a bank holds, whether or not anything is good about it.

    Attributes:
        bank: Name of its partition.
        size: Bytes of its FIP, 0 when it does not begin with one.
        images: SHA-256 of each image and certificate by fiptool's name, lower-case hex.
        u_boot: U-Boot's version string; empty when it has none.
    """

    bank: str
    size: int = 0
    images: dict[str, str] = dataclasses.field(default_factory=dict)
    u_boot: str = ""


def held(disk: Disk, table: Table) -> list[Held]:
    """Return what is in the banks of a disk; nothing for a disk without banks."""
    return [inside(disk, entry) for entry in table.entries if entry.name in banks.NAMES]


def inside(disk: Disk, entry: Partition) -> Held:
    """Return what is in a bank."""
    try:
        found = fip.parse(banks.content(disk, entry.offset, entry.size))
    except FormatError:
        return Held(bank=entry.name)
    digests = {
        each.name: hashlib.sha256(found.data[each.offset : each.end]).hexdigest()
        for each in found.entries
    }
    try:
        u_boot = version_string(found.image("nt-fw") or b"").decode("ascii", "backslashreplace")
    except FormatError:
        u_boot = ""
    return Held(bank=entry.name, size=len(found.data), images=digests, u_boot=u_boot)


def described(bank: Bank) -> dict[str, object]:
    """Return what a document says of boot loaders: which they are, and their security version."""
    counters = set(bank.verdict.counters.values())
    try:
        u_boot = version_string(bank.fip.image("nt-fw") or b"").decode("ascii", "backslashreplace")
    except FormatError:
        u_boot = ""
    return {
        "sha256": hashlib.sha256(bank.fip.data).hexdigest(),
        "version": counters.pop() if len(counters) == 1 else None,
        "u_boot": u_boot,
    }


def _chain(
    entry: Partition, found: Fip, verdict: FirmwareVerdict, firmware: Firmware
) -> Iterator[Finding]:
    """Yield why the boot ROM would refuse boot loaders."""
    for each in verdict.findings:
        yield dataclasses.replace(each, where=f"{entry.name}: {each.where}", offset=entry.offset)
    try:
        rom.check(found.image("tb-fw") or b"", firmware.mrk, "BL2")
    except VerificationRefused as error:
        yield finding("disk.firmware-root-key", f"{entry.name}: tb-fw", error.message)


def _for_device(
    entry: Partition, found: Fip, verdict: FirmwareVerdict, target: Expected, firmware: Firmware
) -> Iterator[Finding]:
    """Yield why boot loaders are not for a device that has others."""
    from bootseal.fit.control_dtb import read_trust  # noqa: PLC0415 - slow to load

    try:
        version_string(found.image("nt-fw") or b"")
        keys = [
            sorted(key.public_key.fingerprint() for key in read_trust(each).required("conf"))
            for each in (found.image("nt-fw") or b"", target.control)
        ]
    except FormatError as error:
        yield finding("disk.firmware-u-boot", f"{entry.name}: nt-fw", error.message)
    else:
        if keys[0] != keys[1]:
            message = "its U-Boot does not require the keys that the device's own requires of FITs"
            yield finding("disk.firmware-u-boot", f"{entry.name}: nt-fw", message)
    for counter, value in verdict.counters.items():
        if value < firmware.counter:
            yield finding(
                "disk.firmware-counter",
                entry.name,
                f"its {counter.name.lower()} counter is {value}: the device's boot loaders have "
                f"{firmware.counter}",
                offset=entry.offset,
                expected=str(firmware.counter),
                observed=str(value),
            )


def _of_build(
    entry: Partition,
    found: Fip,
    verdict: FirmwareVerdict,
    target: Expected,
    firmware: Firmware,
) -> Iterator[Finding]:
    """Yield why boot loaders are not those that a device was built with."""
    if found.image("nt-fw") != target.control:
        message = "it is not the U-Boot whose keys the FITs are checked with"
        yield finding("disk.firmware-u-boot", f"{entry.name}: nt-fw", message)
    for counter, value in verdict.counters.items():
        if value != firmware.counter:
            yield finding(
                "disk.firmware-counter",
                entry.name,
                f"its {counter.name.lower()} counter is {value}: expected {firmware.counter}",
                offset=entry.offset,
                expected=str(firmware.counter),
                observed=str(value),
            )


def _rom(target: Expected, firmware: Firmware) -> Iterator[Finding]:
    """Yield why the boot ROM does not hold the declared key and no other."""
    path = target.artefacts.get("rom")
    if path is None or not path.is_file():
        return  # That is a finding about the files of the build.
    try:
        rom.check(read_bounded(path, limit=BOOT_LOADER), firmware.mrk, "BL1")
    except VerificationRefused as error:
        yield finding("disk.firmware-root-key", path.name, error.message)


def check_choice(disk: Readable, table: Table) -> Iterator[Finding]:
    """Yield when the block that chooses a bank is not as one that the device writes."""
    entry = table.entry(BOOTSTATE)
    if entry is None or entry.size < bank_choice.PLACE + bank_choice.SIZE:
        return
    place = entry.offset + bank_choice.PLACE
    try:
        bank_choice.parse(disk.read(place, bank_choice.SIZE))
    except FormatError as error:
        yield finding("disk.firmware-choice", entry.name, error.message, offset=place)


def _unchecked(disk: Disk, target: Expected, table: Table) -> Iterator[Finding]:
    for name in banks.NAMES:
        entry = table.entry(name)
        if entry is not None and disk.nonzero(entry.offset, entry.end) is not None:
            yield _unknown(entry)
    for slot in target.slots:
        boot = table.entry(slot.boot)
        loaders = None if boot is None else brought(disk, boot)
        if loaders is not None:
            yield _unknown(loaders)


def _unknown(entry: Partition) -> Finding:
    message = "it is not empty, and it is not known which key the boot ROM has"
    return finding("disk.firmware-unchecked", entry.name, message, offset=entry.offset)
