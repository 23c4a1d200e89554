# SPDX-License-Identifier: MIT
"""The workspace of one scenario: its own copy-on-write disk, its own TPM, its own directory."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.boot.machine import qemu, swtpm
from bootseal.disk import partitions
from bootseal.errors import FormatError, ToolError, UsageError
from bootseal.keys.manifest import MANIFEST
from bootseal.units import MIB, SECTOR

if TYPE_CHECKING:
    from bootseal.device import Device, Slot

_TIMEOUT: Final = 120.0


class Tpm(StrEnum):
    """Which TPM a scenario boots with."""

    OWN = "own"
    """The one of the scenario's base."""
    FRESH = "fresh"
    """Another, newly manufactured chip."""
    CLEARED = "cleared"
    """The base's own chip after `TPM2_Clear` through the platform hierarchy."""
    OTHER_BANK = "other-bank"
    """The base's own chip with SHA-1 PCRs instead of SHA-256 ones."""
    LOCKED_OUT = "locked-out"
    """The base's own chip in lockout, as after too many wrong guesses."""
    FULL = "full"
    """The base's own chip without room for another NV index."""
    SQUATTED = "squatted"
    """The base's own chip, whose rollback index someone else defined first and can delete."""
    FIRMWARE_RAISED = "firmware-raised"
    """The base's own chip, whose index of the firmware refuses security versions below 2."""
    NONE = "none"
    """No chip at all."""


_CHANGES: Final = {
    Tpm.CLEARED: swtpm.clear,
    Tpm.OTHER_BANK: swtpm.exchange_bank,
    Tpm.LOCKED_OUT: swtpm.lock_out,
    Tpm.FULL: swtpm.fill,
    Tpm.SQUATTED: swtpm.squat,
    Tpm.FIRMWARE_RAISED: swtpm.raise_firmware,
}


class Overlay:
    """A qcow2 disk, read and written by partition name; "" is the whole disk.

    The partitions are those of the disk's own GPT at the time of the first use, so `data` is there
    once the device went through its first boot.

    Attributes:
        path: The qcow2 file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ranges: dict[str, tuple[int, int]] = {}

    def size(self, partition: str) -> int:
        """Return the size of a partition in bytes; "" is the whole disk.

        Raises:
            FormatError: There is no such partition.
            ToolError: qemu-img failed.
        """
        return self._range(partition)[1]

    def read(self, partition: str, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset` (bytes) of a partition.

        Raises:
            FormatError: The range leaves the partition, or there is no such partition.
            ToolError: qemu-img failed.
        """
        start = self._place(partition, offset, size)
        return self._read(start, size)

    def write(self, partition: str, offset: int, data: bytes) -> None:
        """Write bytes at `offset` (bytes) of a partition.

        Raises:
            FormatError: The range leaves the partition, or there is no such partition.
            ToolError: qemu-io failed.
        """
        start = self._place(partition, offset, len(data))
        with tempfile.NamedTemporaryFile(prefix="bootseal-") as source:
            source.write(data)
            source.flush()
            # qemu-io splits its commands at spaces; the name of a temporary file has none.
            command = f"write -q -s {source.name} {start} {len(data)}"
            args = ["-f", "qcow2", "-c", command, str(self.path)]
            said = proc.run("qemu-io", args, timeout=_TIMEOUT).stdout
        if said:
            raise ToolError(f"qemu-io said {said[:200]!r} to {command!r}: expected nothing")

    def _read(self, start: int, size: int) -> bytes:
        skip, extra = divmod(start, SECTOR)
        count = -(-(extra + size) // SECTOR)
        block = SECTOR
        while block < MIB and not skip % 2 and not count % 2:
            block, skip, count = block * 2, skip // 2, count // 2
        with tempfile.TemporaryDirectory(prefix="bootseal-") as scratch:
            target = Path(scratch) / "part"
            names = [f"if={self.path}", f"of={target}"]
            numbers = [f"bs={block}", f"skip={skip}", f"count={skip + count}"]
            args = ["dd", "-f", "qcow2", "-O", "raw", *names, *numbers]
            proc.run("qemu-img", args, timeout=_TIMEOUT)
            data = target.read_bytes()
        return data[extra : extra + size]

    def _place(self, partition: str, offset: int, size: int) -> int:
        start, length = self._range(partition)
        if offset < 0 or size <= 0 or offset + size > length:
            raise FormatError(
                f"bytes {offset:#x} to {offset + size:#x} leave partition {partition!r}: "
                f"it has {length:#x} bytes"
            )
        return start + offset

    def _range(self, partition: str) -> tuple[int, int]:
        if not self._ranges:
            size = qemu.virtual_size(self.path)
            found = partitions.primary(self._read, size)
            self._ranges = {name: (each.offset, each.size) for name, each in found.items()}
            self._ranges[""] = 0, size
        try:
            return self._ranges[partition]
        except KeyError:
            known = ", ".join(filter(None, self._ranges))
            raise FormatError(f"the disk has no partition {partition!r}: it has {known}") from None


class Workspace:
    """What a scenario works on; its `prepare` gets this while the device is off.

    Attributes:
        device: The device's description; other releases in its slots included.
        directory: The build directory.
        work: The scenario's own directory.
        disk: The scenario's disk.
        tpm: State directory of the scenario's TPM.
        network: What the machine is connected to in every later power cycle.
        medium: A disk that the machine can read, besides its own, in every later power cycle.
        held: What lasts until the scenario is over, such as servers next to the device.
        kept: What a preparation keeps for later calls, by name.
        patience: Factor for every time limit, for slow machines.
    """

    def __init__(
        self, device: Device, directory: Path, keys: Path, work: Path, *, patience: float = 1.0
    ) -> None:
        self.device = device
        self.directory = directory
        self.work = work
        self.patience = patience
        self._keys = keys
        self.disk = Overlay(work / "disk.qcow2")
        self.tpm = work / "tpm"
        self.network: qemu.Network | qemu.Cable | None = None
        self.medium: Path | None = None
        self.held = ExitStack()
        self.kept: dict[str, object] = {}
        self._plugged = True
        self._record = False
        self._bios = device.first_code(directory)
        self._extra: tuple[str, ...] = ()

    @property
    def keys(self) -> Path:
        """The key directory of the device's maker.

        Raises:
            UsageError: There is none.
        """
        if not (self._keys / MANIFEST).is_file():
            raise UsageError(
                f"it needs the keys of the device's maker, and {self._keys} holds none:"
                " name their directory with --keys"
            )
        return self._keys

    def add_qemu(self, *arguments: str) -> None:
        """Add QEMU arguments to every later power cycle, such as `-append` or a second disk."""
        self._extra += arguments

    def replace_bios(self, content: bytes) -> None:
        """Start another boot loader in every later power cycle."""
        self._bios = self.work / "u-boot.bin"
        self._bios.write_bytes(content)

    def replace_slot(self, slot: Slot) -> None:
        """Note that a slot holds another release, which `device` describes from now on."""
        slots = tuple(slot if old.name == slot.name else old for old in self.device.slots)
        self.device = dataclasses.replace(self.device, slots=slots)

    def record_tpm(self) -> None:
        """Record all traffic with the TPM in every later power cycle, next to its log."""
        self._record = True

    def machine(self) -> qemu.Machine:
        """Return the machine as it is now."""
        return qemu.Machine(
            qemu=qemu.of_device(self.device),
            bios=self._bios,
            disk=self.disk.path,
            tpm=self.tpm if self._plugged else None,
            record_tpm=self._record,
            network=self.network,
            medium=self.medium,
            extra=self._extra,
        )

    def set_up(self, backing: Path, backing_format: str, tpm_state: Path, tpm: Tpm) -> None:
        """Make the scenario's disk and TPM from those of its base.

        Args:
            backing: Disk of the base; never written.
            backing_format: `raw` or `qcow2`.
            tpm_state: TPM state of the base; copied.
            tpm: Which TPM the scenario wants.

        Raises:
            ToolError: qemu-img or the TPM emulator failed.
        """
        qemu.create_overlay(self.disk.path, backing, backing_format=backing_format)
        self._plugged = tpm is not Tpm.NONE
        if tpm is Tpm.FRESH:
            swtpm.manufacture(self.tpm)
            return
        copy_tpm(tpm_state, self.tpm)
        change = _CHANGES.get(tpm)
        if change is not None:
            with tempfile.TemporaryDirectory(prefix="bootseal-") as scratch:
                change(self.tpm, Path(scratch))


def copy_tpm(source: Path, target: Path) -> None:
    """Copy the state of a TPM that is not powered, with the certificates of its maker."""
    for name in (swtpm.STATE_FILE, *swtpm.AUTHORITIES):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)
