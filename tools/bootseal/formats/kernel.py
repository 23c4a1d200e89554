# SPDX-License-Identifier: MIT
"""What a Linux kernel says about itself in its first bytes: the architecture, and its wrapping.

Spec: Linux Documentation/arch/arm64/booting.rst, riscv/boot-image-header.rst, x86/boot.rst,
arch/arm/boot/compressed/head.S and drivers/firmware/efi/libstub/zboot-header.S; the ELF gABI.
"""

from __future__ import annotations

from typing import Final

HEAD: Final = 0x240
"""How many bytes have to be looked at."""

ARCHITECTURES: Final = (
    *("alpha", "arc", "arm", "arm64", "avr32", "blackfin", "ia64", "m68k", "microblaze", "mips"),
    *("mips64", "nds32", "nios2", "or1k", "powerpc", "ppc", "riscv", "s390", "sandbox", "sh"),
    *("sparc", "sparc64", "x86", "x86_64", "xtensa"),
)
"""What U-Boot calls the architectures, in a FIT's `arch` (boot/image.c, uimage_arch)."""

# Offset and bytes. An ARM zImage is little-endian or, for BE8 and BE32, not.
_HEADERS: Final = (
    (0x38, b"ARM\x64", "arm64"),
    (0x30, b"RISCV\0\0\0", "riscv"),
    (0x38, b"RSC\x05", "riscv"),
    (0x24, bytes.fromhex("18286f01"), "arm"),
    (0x24, bytes.fromhex("016f2818"), "arm"),
)
_SETUP: Final = (0x202, b"HdrS")
_LOAD_FLAGS: Final = 0x236
_KERNEL_64: Final = 1

_ELF: Final = b"\x7fELF"
_ELF_64: Final = 2
# Behind e_machine.
_ELF_END: Final = 20
_ELF_LITTLE: Final = 1
_MACHINES: Final = {
    3: "x86",
    4: "m68k",
    20: "ppc",
    21: "ppc",
    22: "s390",
    40: "arm",
    42: "sh",
    43: "sparc64",
    62: "x86_64",
    92: "or1k",
    93: "arc",
    94: "xtensa",
    113: "nios2",
    183: "arm64",
    189: "microblaze",
    195: "arc",
    243: "riscv",
}
_MIPS: Final = 8


def architecture(start: bytes) -> str:
    r"""Return what U-Boot calls the architecture of an unpacked kernel, "" if nothing tells it.

    Args:
        start: At least its first `HEAD` bytes, or all of it.

    >>> architecture(bytes(0x38) + b"ARM\x64")
    'arm64'
    """
    for offset, magic, name in _HEADERS:
        if start[offset : offset + len(magic)] == magic:
            return name
    if start.startswith(_ELF) and len(start) >= _ELF_END:
        machine = int.from_bytes(start[18:20], "little" if start[5] == _ELF_LITTLE else "big")
        if machine == _MIPS:
            return "mips64" if start[4] == _ELF_64 else "mips"
        return _MACHINES.get(machine, "")
    offset, magic = _SETUP
    if start[offset : offset + len(magic)] == magic:
        flags = start[_LOAD_FLAGS : _LOAD_FLAGS + 1]
        return "x86_64" if flags and flags[0] & _KERNEL_64 else "x86"
    return ""


def wrapping(start: bytes) -> str:
    r"""Return why U-Boot cannot start this as the kernel of a FIT, "" if nothing speaks against it.

    Args:
        start: The first bytes of the file as it would be stored.

    >>> wrapping(b"\xfd7zXZ\0")
    'xz, which U-Boot cannot unpack'
    """
    if start.startswith(b"\xfd7zXZ\0"):
        return "xz, which U-Boot cannot unpack"
    if start.startswith(b"\x89LZO\0\r\n\x1a\n"):
        return "lzo, which cannot be checked here"
    if start.startswith(bytes.fromhex("27051956")):
        return "a legacy uImage, whose header is not part of the kernel"
    if start.startswith(bytes.fromhex("d00dfeed")):
        return "a device tree or a FIT"
    if start.startswith(b"MZ") and start[4:8] == b"zimg":
        return "an EFI application that unpacks its own kernel, which bootm cannot start"
    return ""
