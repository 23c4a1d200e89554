# SPDX-License-Identifier: MIT
"""What a FIT has to know about the board that boots it: where its memory is, and how much of it.

The defaults are those of U-Boot's Kconfig (CONFIG_SYS_BOOTM_LEN, v2026.01), and load addresses that
suit QEMU's `virt` machine. Other boards have other values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError
from bootseal.units import MIB

ARCHITECTURES: Final = (
    *("alpha", "arc", "arm", "arm64", "avr32", "blackfin", "ia64", "m68k", "microblaze", "mips"),
    *("mips64", "nds32", "nios2", "or1k", "powerpc", "ppc", "riscv", "s390", "sandbox", "sh"),
    *("sparc", "sparc64", "x86", "x86_64", "xtensa"),
)
"""What U-Boot calls the architectures, in a FIT's `arch` (boot/image.c, uimage_arch)."""

UNPACKING: Final = 20
"""U-Boot decompresses other images into a buffer of this many times their size."""

LOAD_ADDRESSES: Final = {"arm64": 0x40400000, "arm": 0x40400000, "riscv": 0x84000000}
"""Where a kernel is put on QEMU's `virt` machine, by architecture."""

_BOOTM_LEN: Final = 8 * MIB
_BOOTM_LENS: Final = {
    # Without an architecture U-Boot refuses the image itself.
    "": 128 * MIB,
    "arm64": 128 * MIB,
    "riscv": 128 * MIB,
    "ppc": 128 * MIB,
    "powerpc": 128 * MIB,
    "x86": 16 * MIB,
    "x86_64": 16 * MIB,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The memory of the board, as far as it is known.

    Attributes:
        bootm_len: CONFIG_SYS_BOOTM_LEN in bytes, what a kernel may be unpacked or moved to; None
            for U-Boot's default on the kernel's architecture.
        fit_address: Where the FIT is while it is verified; None if that is not known.
    """

    bootm_len: int | None = None
    fit_address: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no board has, and with what nothing would overlap.

        Raises:
            FormatError: A number is negative or has more than 64 bits.
        """
        for name, number in (("bootm_len", self.bootm_len), ("fit_address", self.fit_address)):
            if number is not None and not 0 <= number < 1 << 64:
                raise FormatError(f"target.{name} is {number}: expected 0 to {(1 << 64) - 1:#x}")


UNKNOWN_TARGET: Final = Target()


def kernel_room(target: Target, arch: str) -> int:
    """Return how many bytes a kernel of an architecture may have when unpacked.

    >>> from bootseal.target import UNKNOWN_TARGET
    >>> kernel_room(UNKNOWN_TARGET, "riscv") == 128 * MIB
    True
    """
    return _BOOTM_LENS.get(arch, _BOOTM_LEN) if target.bootm_len is None else target.bootm_len
