# SPDX-License-Identifier: MIT
"""What an attacker does to bytes: flipped bits, and artefacts made without any key.

Pure functions; what needs a FIT's structure is in `bootseal.boot.attacks.forge_fit`.
"""

from __future__ import annotations

import random
import struct
import zlib
from typing import Final

from bootseal.errors import UsageError
from bootseal.units import KIB

_LEGACY_MAGIC: Final = 0x27051956
_LEGACY_HEADER: Final = struct.Struct(">7I4B32s")
SENTINEL: Final = "BOOTSEAL-ATTACKER-CODE-RUNS"
"""What every payload prints when a device runs it; no device may ever show it."""
# Prints the NUL-terminated text behind it on the PL011 at 0x09000000, then PSCI SYSTEM_OFF.
_PRINT_AND_POWER_OFF: Final = struct.pack(
    "<10I",
    0x10000141,  # adr  x1, text
    0xD2A12002,  # mov  x2, #0x09000000
    0x38401423,  # next: ldrb w3, [x1], #1
    0x34000063,  # cbz  w3, off
    0xB9000043,  # str  w3, [x2]
    0x17FFFFFD,  # b    next
    0x52B08000,  # off: mov w0, #0x84000000
    0x72800100,  # movk w0, #8
    0xD4000002,  # hvc  #0
    0x14000000,  # b    .
)
_IMAGE_HEADER: Final = struct.Struct("<2I3Q3Q4sI")


def flip_bit(data: bytes, offset: int, *, bit: int = 0) -> bytes:
    """Invert one bit.

    Args:
        data: Anything.
        offset: Byte offset from the start.
        bit: Which bit of that byte, 0 being the least significant.

    Raises:
        UsageError: The offset is outside the data.

    >>> flip_bit(b"abc", 1)
    b'acc'
    """
    if not 0 <= offset < len(data):
        raise UsageError(f"byte {offset:#x} to flip is outside the data of {len(data):#x} bytes")
    changed = bytearray(data)
    changed[offset] ^= 1 << bit
    return bytes(changed)


def noise(size: int, *, seed: int) -> bytes:
    """Return `size` bytes that look random and depend on the seed alone."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - repeatable on purpose


def legacy_image(kernel: bytes, *, load: int, name: str = "linux") -> bytes:
    """Wrap an arm64 kernel as a legacy U-Boot image with valid checksums, and no signature.

    Layout: 64 bytes of big-endian header (magic, header CRC-32, time, size, load and entry
    address, data CRC-32, OS, architecture, type, compression, name), then the kernel.

    Spec: U-Boot `include/image.h`, struct legacy_img_hdr.
    """
    os_linux, arch_arm64, type_kernel, not_compressed = 5, 22, 2, 0

    def header(checksum: int) -> bytes:
        return _LEGACY_HEADER.pack(
            *(_LEGACY_MAGIC, checksum, 0, len(kernel), load, load, zlib.crc32(kernel)),
            *(os_linux, arch_arm64, type_kernel, not_compressed),
            name.encode()[:31],
        )

    return header(zlib.crc32(header(0))) + kernel


def attacker_kernel(detail: str) -> bytes:
    r"""Return an arm64 kernel Image that identifies itself on the console and switches off.

    It runs at any address on QEMU's `virt` machine. Header: two instructions, text offset, image
    size and flags (u64), three reserved words, magic `ARM\x64`; all little endian.

    Args:
        detail: Printed behind `SENTINEL`.

    Spec: Linux Documentation/arch/arm64/booting.rst, section 4.
    """
    branch_behind_header, little_endian_4k_anywhere = 0x14000010, 0xA
    header = _IMAGE_HEADER.pack(
        branch_behind_header, 0, 0, KIB, little_endian_4k_anywhere, 0, 0, 0, b"ARM\x64", 0
    )
    text = f"\r\n{SENTINEL} {detail}\r\n\0".encode()
    return (header + _PRINT_AND_POWER_OFF + text).ljust(KIB, b"\0")
