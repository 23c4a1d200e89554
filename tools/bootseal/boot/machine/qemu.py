# SPDX-License-Identifier: MIT
"""The virtual machine as QEMU arguments, and its copy-on-write disks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.errors import ToolError, UsageError

if TYPE_CHECKING:
    from bootseal.device import Device, Qemu

STATUS_PORT: Final = "io.bootseal.status"
ESCROW_PORT: Final = "io.bootseal.escrow"
HOST: Final = "10.0.2.100"
"""The only address that a machine's network has besides the machine's own."""
GIVEN: Final = "10.0.2.77"
"""The address that a machine gets by DHCP, if it asks for one."""
_IMG_TIMEOUT: Final = 120.0
_TRANSLATED_CODE: Final = 64
"""MiB of translated code that QEMU's emulator keeps. Its default, a share of the host's memory, is
never full, so after a reset it still watches for writes to every page that held code before, and
U-Boot and Linux take five times as long to load and start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of the machine and `HOST`; nothing else can be reached from it, or reaches it.

    Attributes:
        forwards: Ports of this computer's loopback by the port of `HOST` that leads there.
    """

    forwards: dict[int, int]

    def backend(self) -> str:
        """Return the value of QEMU's `-netdev`."""
        # A process for each connection: the form without `cmd` opens one when QEMU starts, for all.
        nc = f"{proc.find_tool('busybox')} nc 127.0.0.1"
        forwards = (f"tcp:{HOST}:{port}-cmd:{nc} {own}" for port, own in self.forwards.items())
        return ",".join(
            [
                "user",
                "id=net",
                "restrict=on",
                f"dhcpstart={GIVEN}",
                *(f"guestfwd={each}" for each in forwards),
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """A network cable whose other end is a datagram socket on this computer: a frame in each.

    Attributes:
        machine: Where the machine's end is.
        other: Where the other end is.
    """

    machine: Path
    other: Path

    def backend(self) -> str:
        """Return the value of QEMU's `-netdev`."""
        ends = (("local", self.machine), ("remote", self.other))
        named = (f"{end}.type=unix,{end}.path={path}" for end, path in ends)
        return ",".join(["dgram", "id=net", *named])


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine that can be powered on.

    Attributes:
        qemu: Board, processor and memory.
        bios: The boot loader, which takes the place of a boot ROM.
        disk: qcow2 overlay that takes the writes; None for a machine without a disk.
        tpm: State directory of the TPM emulator; None for a machine without a TPM.
        record_tpm: Whether to record every byte to and from the TPM.
        network: What its network card is connected to; None for a machine without one.
        medium: A raw disk that it can read, besides its own; None for none.
        extra: Further QEMU arguments.
    """

    qemu: Qemu
    bios: Path
    disk: Path | None
    tpm: Path | None
    record_tpm: bool = False
    network: Network | Cable | None = None
    medium: Path | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Where the machine's lines are connected, as values of QEMU's `-chardev` or `-serial`.

    Attributes:
        serial: Chardev back end of the console.
        status: Chardev back end of the status port.
        escrow: Chardev back end of the port that recovery keys are sent to; "" when no station
            listens.
        qmp: Chardev back end of QMP, QEMU's machine protocol; "" for none.
        tpm: Control socket of the TPM emulator; used when the machine has a TPM.
    """

    serial: str
    status: str
    escrow: str
    qmp: str
    tpm: Path


def of_device(device: Device) -> Qemu:
    """Return the virtual machine that a device was built for.

    Raises:
        UsageError: It was built for a board that is not one of QEMU's.
    """
    if device.qemu is None:
        raise UsageError(
            f"{device.name} is for a board that QEMU does not have: its device.json does not "
            "describe a virtual machine",
            hint="start it on the board; bootseal disk check and fit verify work here",
        )
    return device.qemu


def arguments(machine: Machine, wiring: Wiring) -> list[str]:
    """Return QEMU's arguments; with QMP, the processors start paused.

    Every option is spelt out: nothing depends on QEMU's defaults or a user's configuration.
    """
    board = machine.qemu
    args = ["-no-user-config", "-nodefaults", "-display", "none"]
    args += ["-machine", board.machine, "-cpu", board.cpu]
    if "accel=" not in board.machine:
        args += ["-accel", f"tcg,tb-size={_TRANSLATED_CODE}"]
    args += ["-smp", str(board.cpus), "-m", str(board.memory)]
    args += ["-action", "reboot=reset,shutdown=poweroff,watchdog=reset"]
    args += ["-bios", str(machine.bios)]
    args += ["-chardev", f"{wiring.serial},id=serial", "-serial", "chardev:serial"]
    args += ["-device", "virtio-rng-device"]
    args += ["-device", "virtio-serial-device", "-chardev", f"{wiring.status},id=status"]
    args += ["-device", f"virtserialport,chardev=status,name={STATUS_PORT}"]
    if wiring.escrow:
        args += ["-chardev", f"{wiring.escrow},id=escrow"]
        args += ["-device", f"virtserialport,chardev=escrow,name={ESCROW_PORT}"]
    if wiring.qmp:
        args += ["-chardev", f"{wiring.qmp},id=qmp", "-mon", "chardev=qmp,mode=control", "-S"]
    if machine.medium is not None:
        # In front of the disk: boot loaders look at the disk that comes last.
        raw = {"driver": "file", "filename": str(machine.medium), "read-only": True}
        node = {"driver": "raw", "node-name": "medium", "file": raw, "read-only": True}
        args += ["-blockdev", json.dumps(node), "-device", "virtio-blk-device,drive=medium"]
    if machine.disk is not None:
        # What the device discards is gone from the file, as it is from a real disk.
        file = {"driver": "file", "filename": str(machine.disk), "discard": "unmap"}
        node = {"driver": "qcow2", "node-name": "disk", "file": file, "discard": "unmap"}
        args += ["-blockdev", json.dumps(node), "-device", "virtio-blk-device,drive=disk"]
    if machine.tpm is not None:
        args += ["-chardev", f"socket,id=tpm,path={wiring.tpm}"]
        args += ["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-tis-device,tpmdev=tpm"]
    if machine.network is not None:
        args += ["-netdev", machine.network.backend(), "-device", "virtio-net-device,netdev=net"]
    return [*args, *machine.extra]


def create_overlay(overlay: Path, backing: Path, *, backing_format: str) -> None:
    """Make an empty copy-on-write disk on top of `backing`, which is never written.

    Raises:
        ToolError: qemu-img failed.
    """
    overlay.parent.mkdir(parents=True, exist_ok=True)
    # Always absolute: qemu-img reads a relative name as relative to the overlay.
    options = ["-f", "qcow2", "-F", backing_format, "-b", str(backing.resolve())]
    proc.run("qemu-img", ["create", "-q", *options, str(overlay)], timeout=_IMG_TIMEOUT)


def virtual_size(disk: Path) -> int:
    """Return the size in bytes of a qcow2 disk as the machine sees it.

    Raises:
        ToolError: qemu-img failed.
    """
    args = ["info", "--output=json", "-f", "qcow2", str(disk)]
    document = json.loads(proc.run("qemu-img", args, timeout=_IMG_TIMEOUT).stdout)
    return int(document["virtual-size"])


def version(system: str) -> str:
    """Return the version of a QEMU system emulator, for example `7.2.22`.

    Raises:
        ToolError: It is not installed, or does not print a version of QEMU.
    """
    said = proc.run(system, ["--version"], timeout=_IMG_TIMEOUT).stdout.decode(errors="replace")
    words = said.split()
    if words[:3] != ["QEMU", "emulator", "version"]:
        raise ToolError(f"{system} --version says {said[:80]!r}: expected QEMU emulator version N")
    return words[3]
