# SPDX-License-Identifier: MIT
"""Late signing of boot loaders: both banks with U-Boot as it is then, and the boot ROM's key.

A master root key other than the present one changes BL1, BL2 and what BL2 measures. That is for
devices whose ROM is still to be made; their first two stages hold nothing else that depends on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.check.firmware import brought
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.files import BOOT_LOADER, read_bounded
from bootseal.findings.model import refuse
from bootseal.firmware import banks as bank_of
from bootseal.firmware import rom, verify
from bootseal.firmware.chain import CERTIFICATES, Counter, Key
from bootseal.firmware.sign import sign
from bootseal.formats import fip
from bootseal.formats.uboot.binary import version_string
from bootseal.measure import firmware as measured
from bootseal.measure.predict import MEANINGS, predict
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bootseal.check.expected import Expected
    from bootseal.check.slot_fit import SlotFit
    from bootseal.device import Firmware, Partition, Slot
    from bootseal.disk.image import Disk
    from bootseal.disk.partitions import Table
    from bootseal.formats.tpm.eventlog import Event
    from bootseal.keys.signers.base import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBank:
    """A bank, and the FIP that it gets.

    Attributes:
        entry: Its partition.
        before: How many bytes its present FIP has.
        after: The signed FIP.
    """

    entry: Partition
    before: int
    after: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """What changes.

    Attributes:
        banks: On the disk.
        files: New content of the build's files, by role.
        firmware: What the boot ROM starts then.
        slots: The slots with what they measure then.
    """

    banks: tuple[SignedBank, ...]
    files: dict[str, bytes]
    firmware: Firmware
    slots: tuple[Slot, ...]


def refuse_other_u_boot(disk: Disk, target: Expected, table: Table) -> None:
    """Refuse to change U-Boot where boot loaders that hold it are not signed again.

    Raises:
        UsageError: The disk has such boot loaders.
    """
    names = bank_of.NAMES if target.firmware is None else target.firmware.banks
    for name in names:
        entry = table.entry(name)
        if entry is not None and disk.nonzero(entry.offset, entry.end) is not None:
            raise UsageError(
                f"{name} holds boot loaders with U-Boot: their signatures are for the old one",
                hint="sign the build directory, with --keys DIR or --firmware-key NAME=URI ...",
            )


def signed(
    disk: Disk,
    target: Expected,
    table: Table,
    signers: Mapping[Key, Signer],
    control: bytes,
    *,
    trust: bool,
) -> tuple[SignedBank, ...]:
    """Sign the boot loaders of every bank, and those that the slots bring for the banks.

    What signers that only record make is not good.

    Args:
        disk: The disk; it is only read.
        target: Knows U-Boot and the boot ROM.
        table: The partitions of the disk.
        signers: A signer for every key of the chain.
        control: U-Boot as it is from now on.
        trust: Whether the boot ROM may get another master root key.

    Raises:
        FormatError: A bank is missing, or does not begin with a FIP.
        UsageError: The master root key is not the ROM's, a key signs at two places, or there is no
            room for the result.
        VerificationRefused: A bank holds another U-Boot, or a BL2 of another root key.
        ToolError: A token or service failed.
    """
    firmware = _described(target)
    root = signers[Key.MRK].public_key.fingerprint()
    if root != firmware.mrk and not trust:
        raise UsageError(
            f"the master root key is {root}: the boot ROM holds {firmware.mrk}",
            hint="--trust puts the new key's hash into the ROM, for devices that have not been "
            "made yet",
        )
    done: dict[bytes, bytes] = {}
    banks: list[SignedBank] = []
    for entry in _places(disk, target, table, firmware):
        name = entry.name
        content = bank_of.content(disk, entry.offset, entry.size)
        if content not in done:
            done[content] = _sign(name, content, target.control, control, firmware, signers)
        after = done[content]
        if len(after) > entry.size:
            raise UsageError(
                f"{name} has room for {format_size(entry.size)}: with its new signatures the FIP "
                f"has {format_size(len(after))}"
            )
        banks.append(SignedBank(entry=entry, before=len(content), after=after))
    return tuple(banks)


def renew(
    target: Expected,
    banks: tuple[SignedBank, ...],
    fits: Sequence[SlotFit],
    signers: Mapping[Key, Signer],
) -> Renewed:
    """Verify what was signed, and return all that follows from it.

    Args:
        target: The device as it was.
        banks: The signed boot loaders.
        fits: The FITs, for what each slot measures.
        signers: The signers.

    Raises:
        VerificationRefused: The boot ROM would refuse the result.
    """
    firmware = _described(target)
    root = signers[Key.MRK].public_key.fingerprint()
    for bank in banks:
        verdict = verify.check(fip.parse(bank.after), root)
        refuse(verdict.findings, f"the boot ROM would refuse {bank.entry.name}")
    images = measured.images(fip.parse(banks[0].after))
    files = {"firmware": banks[0].after, "bl2": images["bl2"]}
    if root != firmware.mrk:
        old = read_bounded(target.artefacts["rom"], limit=BOOT_LOADER)
        files["rom"] = rom.with_other_root_key(old, firmware.mrk, root, "BL1")
    return Renewed(
        banks=banks,
        files=files,
        firmware=dataclasses.replace(firmware, mrk=root),
        slots=tuple(_slots(target.slots, fits, images)),
    )


def measured_by(banks: Sequence[SignedBank]) -> tuple[bytes, tuple[Event, ...]]:
    """Return U-Boot's version string, and what is measured before it, of signed boot loaders."""
    images = measured.images(fip.parse(banks[0].after))
    return version_string(images["bios"]), measured.events(images)


def _places(disk: Disk, target: Expected, table: Table, firmware: Firmware) -> list[Partition]:
    """Return the banks, and behind them where releases bring boot loaders for these."""
    found: list[Partition] = []
    for name in firmware.banks:
        entry = table.entry(name)
        if entry is None:
            raise FormatError(f"the disk has no partition {name}")
        found.append(entry)
    for slot in target.slots:
        boot = table.entry(slot.boot)
        loaders = None if boot is None else brought(disk, boot)
        found += [] if loaders is None else [loaders]
    return found


def _sign(
    name: str,
    content: bytes,
    old: bytes,
    control: bytes,
    firmware: Firmware,
    signers: Mapping[Key, Signer],
) -> bytes:
    found = fip.parse(content)
    if found.image("nt-fw") != old:
        raise VerificationRefused(
            f"the U-Boot in {name} is not the build's: it cannot be signed again with that",
            hint="bootseal disk check has the details",
        )
    images = {
        entry.name: bytes(found.data[entry.offset : entry.end])
        for entry in found.entries
        if entry.name not in CERTIFICATES
    }
    root = signers[Key.MRK].public_key.fingerprint()
    images["nt-fw"] = control
    images["tb-fw"] = rom.with_other_root_key(images["tb-fw"], firmware.mrk, root, "BL2")
    unsigned = fip.parse(fip.emit(images, alignment=found.alignment))
    return sign(unsigned, signers, dict.fromkeys(Counter, firmware.counter))


def _slots(
    slots: Iterable[Slot], fits: Sequence[SlotFit], images: Mapping[str, bytes]
) -> Iterable[Slot]:
    """Yield the slots with what they measure: the boot loaders may be others."""
    by_slot = {fit.slot.name: fit for fit in fits}
    version, before = version_string(images["bios"]), measured.events(images)
    for slot in slots:
        fit = by_slot[slot.name].strict
        found = predict(fit, slot.configuration, version=version, before=before)
        yield dataclasses.replace(
            slot,
            pcrs={str(pcr): found.pcrs[pcr].hex() for pcr in MEANINGS},
            events=found.measurements,
        )


def _described(target: Expected) -> Firmware:
    if target.firmware is None:
        raise UsageError("the boot loaders of this device are not described: it has no boot ROM")
    return target.firmware
