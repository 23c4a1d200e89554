# SPDX-License-Identifier: MIT
"""U-Boot itself: how it was configured, which commands it has, and the environment built into it.

A command is found by its entry in the symbol table of the ELF file, and in a binary without
symbols by the text of its help, which is there when the command is.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final

from bootseal.device import ROM_ROLES, digest_file
from bootseal.errors import FormatError
from bootseal.files import read_bounded
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Severity
from bootseal.fit.boot_loader import ELF_MAGIC, section
from bootseal.formats import kconfig
from bootseal.formats.uboot import config
from bootseal.formats.uboot.binary import gate_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bootseal.check.expected import Expected
    from bootseal.findings.model import Finding

CONFIG_ROLE: Final = "uboot-config"
"""Role of U-Boot's `.config`; of a build with several, each adds a hyphen and its type."""
_DEVICE_TREE: Final = bytes.fromhex("d00dfeed")
_COMMAND: Final = "_u_boot_list_2_cmd_2_"
_DELAY: Final = re.compile(rb"\0bootdelay=([^\0]*)\0")
_BOOTCMD: Final = re.compile(rb"\0bootcmd=([^\0]*)\0")
_NO_DELAY: Final = b"-2"

# What starts or loads something that nothing verifies, or writes memory or settings.
# Texts of U-Boot's U_BOOT_CMD entries, v2020.01 to v2026.04.
FORBIDDEN: Final[Mapping[str, tuple[str, ...]]] = {
    "abootimg": ("manipulate Android Boot Image",),
    "bootd": ("boot default, i.e., run 'bootcmd'",),
    "bootdev": ("Boot devices",),
    "bootefi": ("Boots an EFI payload from memory",),
    "bootelf": ("Boot from an ELF image in memory",),
    "bootflow": ("Boot flows",),
    "booti": ("boot Linux kernel 'Image' format from memory",),
    "bootp": ("boot image via network using BOOTP/TFTP protocol",),
    "bootvx": ("Boot vxWorks from an ELF image",),
    "bootz": ("boot Linux zImage image from memory",),
    "cp": ("memory copy",),
    "dfu": ("Device Firmware Upgrade",),
    "dhcp": ("boot image via network using DHCP/TFTP protocol",),
    "editenv": ("edit environment variable",),
    "ext2load": ("load binary file from a Ext2 filesystem",),
    "ext4load": ("load binary file from a Ext4 filesystem",),
    "fastboot": ("run as a fastboot usb or udp device",),
    "fatload": ("load binary file from a dos filesystem",),
    "fdt": ("flattened device tree utility commands",),
    "go": ("start application at address 'addr'",),
    "imxtract": ("extract a part of a multi-image",),
    "load": ("load binary file from a filesystem",),
    "loadb": ("load binary file over serial line (kermit mode)",),
    "loads": ("load S-Record file over serial line",),
    "loadx": ("load binary file over serial line (xmodem mode)",),
    "loady": ("load binary file over serial line (ymodem mode)",),
    "md": ("memory display",),
    "mm": ("memory modify (auto-incrementing address)",),
    "mtd": ("MTD utils",),
    "mw": ("memory write (fill)",),
    "nfs": ("boot image via network using NFS protocol",),
    "nm": ("memory modify (constant address)",),
    "nvme": ("NVM Express sub-system",),
    "pxe": ("get and boot from pxe files",),
    "qfw": ("QEMU firmware interface",),
    "save": ("save file to a filesystem",),
    "saveenv": ("save environment variables to persistent storage",),
    "scsi": ("SCSI sub-system",),
    "sf": ("SPI flash sub-system",),
    "source": ("run script from memory",),
    "sqfsload": ("load binary file from a SquashFS filesystem",),
    "sysboot": ("command to get and boot from syslinux files",),
    "tftpboot": (
        "boot image via network using TFTP protocol",
        "load file via network using TFTP protocol",
    ),
    "ums": ("Use the UMS [USB Mass Storage]",),
    "usb": ("USB sub-system",),
    "wget": (
        "boot image via network using HTTP protocol",
        "boot image via network using HTTP/HTTPS protocol",
    ),
}


def check(target: Expected) -> Iterator[Finding]:
    """Yield what U-Boot has that it should not have, and lacks that it should."""
    yield from _as_described(target)
    for role, path in target.artefacts.items():
        if role.startswith(CONFIG_ROLE) and path.is_file():
            yield from check_config(read_bounded(path), path.name)
    if not target.control.startswith(_DEVICE_TREE):
        yield from check_binary(target.control)


def _as_described(target: Expected) -> Iterator[Finding]:
    """Yield when the boot loader's files are not those that `device.json` describes."""
    for role, path in target.artefacts.items():
        boot_loader = role in {"bios", *ROM_ROLES} or role.startswith(CONFIG_ROLE)
        if target.device is None or not boot_loader:
            continue
        expected = target.device.artefacts[role].sha256
        observed = digest_file(path) if path.is_file() else "nothing"
        if observed != expected:
            yield finding(
                "disk.artefact",
                path.name,
                f"its SHA-256 is {observed}: device.json says {expected}",
                expected=expected,
                observed=observed,
            )


def check_config(data: bytes, name: str) -> Iterator[Finding]:
    """Yield what is wrong with a finished `.config`, which messages call `name`."""
    try:
        settings = kconfig.parse(data, name)
    except FormatError as error:
        yield finding("disk.uboot-config", name, error.message)
        return
    for violation in config.violations(settings):
        found = settings.get(violation.symbol)
        state = "is not set" if violation.expected == kconfig.ON else "is set"
        yield finding(
            "disk.uboot-config",
            name if found is None else f"{name}:{found.line}",
            f"{violation.symbol} {state}: {violation.reason}",
            expected=violation.expected,
            observed=kconfig.OFF if found is None else found.value,
        )


def check_binary(binary: bytes) -> Iterator[Finding]:
    """Yield what is wrong with a U-Boot, an ELF file or not."""
    for name in commands(binary):
        yield finding("disk.uboot-command", "U-Boot", f"it has the command {name!r}")
    if not gate_version(binary):
        message = "it has no gate in front of the FIT code: mainline's known bugs may be exposed"
        yield finding("disk.uboot-gate", "U-Boot", message)
    delays = {each.decode("latin-1") for each in _DELAY.findall(binary)}
    if delays - {_NO_DELAY.decode()}:
        message = f"bootdelay is {', '.join(sorted(delays))}: the boot can be stopped"
        yield finding("disk.uboot-environment", "U-Boot", message)
    if not delays or not _BOOTCMD.search(binary):
        message = "its built-in environment has no bootdelay or no bootcmd"
        yield finding("disk.uboot-environment", "U-Boot", message, severity=Severity.WARNING)


def commands(binary: bytes) -> list[str]:
    """Return the forbidden commands a U-Boot has, in alphabetical order."""
    names = _symbols(binary) if binary.startswith(ELF_MAGIC) else None
    if names is not None:
        return sorted(FORBIDDEN.keys() & names)
    return [
        name
        for name, texts in FORBIDDEN.items()
        if any(f"\0{text}{end}".encode() in binary for text in texts for end in ("\0", "\n"))
    ]


def _symbols(binary: bytes) -> set[str] | None:
    """Return the commands in the symbol table of an ELF file; None when it has none."""
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - slow to load
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415
    from elftools.elf.sections import SymbolTableSection  # noqa: PLC0415

    try:
        table = section(ELFFile(io.BytesIO(binary)), ".symtab")
        if not isinstance(table, SymbolTableSection):
            return None
        names = [str(symbol.name) for symbol in table.iter_symbols()]
    # What pyelftools raises for damaged files, next to its own errors.
    except (
        ELFError,
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ):
        return None
    return {name.removeprefix(_COMMAND) for name in names if name.startswith(_COMMAND)} or None
