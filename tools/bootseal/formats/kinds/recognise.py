# SPDX-License-Identifier: MIT
"""What kind of file some bytes are, determined before anything parses them.

Only marks that a format fixes are looked at, in a bounded part of the file. A kind does not promise
that the file is well formed; whatever carries the mark of a kind and is damaged, its reader
explains better. What carries none is `Kind.UNKNOWN`, or text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.formats.kinds import der, logs, pem, trees
from bootseal.formats.kinds.kind import Kind, Wanted, advice
from bootseal.units import MIB, SECTOR

if TYPE_CHECKING:
    from bootseal.formats.fdt.scan import Buffer

HEAD: Final = 128 * 1024
"""Bytes from the start of a file that are enough for every kind but U-Boot and device trees."""

_SEARCHED: Final = 16 * MIB
_TEXT: Final = 4096
_ADVANCED: Final = 4096
_GPT: Final = b"EFI PART"
_BOOT_MARK: Final = b"\x55\xaa"
_RECORDS: Final = range(446, 510, 16)
_PROTECTIVE: Final = 0xEE
_UIMAGE: Final = bytes.fromhex("27051956")
_UBOOT_OS, _FIRMWARE_TYPE = 17, 5
_VERSION: Final = re.compile(rb"U-Boot (?:[STV]PL )?20[0-9]{2}\.[0-9]{2}")
_REFERENCE: Final = b"bootseal-signer:"
_FAT: Final = re.compile(rb"(?:\xeb.\x90|\xe9..).{51}(?:FAT1[26]   |.{28}FAT32   )", re.DOTALL)
# The superblock: a block size of up to 64 KiB, the mark, revision 0 or 1.
_EXT: Final = re.compile(rb".{1048}[\0-\6]\0{3}.{28}\x53\xef.{18}[\0\1]\0{3}", re.DOTALL)
_LZMA: Final = re.compile(rb"\x5d\x00\x00.{2}(?:\xff{8}|.{5}\x00{3})", re.DOTALL)
_JSON: Final = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]0-9])")
_BMAP: Final = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<bmap\b", re.DOTALL)

# Offset, mark and kind; the first that fits counts.
_MARKS: Final = (
    (0, bytes.fromhex("010064aa"), Kind.FIP),
    (56, b"ARM\x64", Kind.KERNEL_ARM64),
    (48, b"RISCV\0\0\0", Kind.KERNEL_RISCV),
    (56, b"RSC\x05", Kind.KERNEL_RISCV),
    (0x24, bytes.fromhex("18286f01"), Kind.KERNEL_ZIMAGE),
    (0x24, bytes.fromhex("016f2818"), Kind.KERNEL_ZIMAGE),
    (0x202, b"HdrS", Kind.KERNEL_BZIMAGE),
    (0, b"MZ\0\0zimg", Kind.KERNEL_ZBOOT),
    (0, b"MZ", Kind.EFI),
    (0, b"\x7fELF", Kind.ELF),
    (0, b"\x1f\x8b", Kind.GZIP),
    (0, b"\xfd7zXZ\0", Kind.XZ),
    (0, b"\x28\xb5\x2f\xfd", Kind.ZSTD),
    (0, b"\x04\x22\x4d\x18", Kind.LZ4),
    (0, b"\x02\x21\x4c\x18", Kind.LZ4),
    (0, b"BZh", Kind.BZIP2),
    (0, b"\x89LZO\0\r\n\x1a\n", Kind.LZO),
    (0, b"LZIP", Kind.LZIP),
    (0, b"PK\x03\x04", Kind.ZIP),
    (257, b"ustar", Kind.TAR),
    (0, b"07070", Kind.CPIO),
    (0, b"QFI\xfb", Kind.QCOW2),
    (0, b"KDMV", Kind.VMDK),
    (0, b"# Disk DescriptorFile", Kind.VMDK),
    (0, b"vhdxfile", Kind.VHDX),
    (64, b"\x7f\x10\xda\xbe", Kind.VDI),
    (0, bytes.fromhex("3aff26ed"), Kind.ANDROID_SPARSE),
    (0, b"LUKS\xba\xbe\0\x01", Kind.LUKS1),
    (0, b"LUKS\xba\xbe\0\x02", Kind.LUKS2),
    (0, b"hsqs", Kind.SQUASHFS),
    (0, b"verity\0\0", Kind.VERITY),
    (1024, bytes.fromhex("e2e1f5e0"), Kind.EROFS),
)


def recognise(data: Buffer) -> Kind:
    r"""Say what kind of file this is.

    Args:
        data: The file, at best a map of it; of what is neither a device tree nor U-Boot, the first
            `HEAD` bytes are enough.

    >>> recognise(b"QFI\xfb" + bytes(100))
    <Kind.QCOW2: 'a qcow2 disk image'>
    """
    head = bytes(data[:HEAD])
    if not head:
        return Kind.EMPTY
    if head.startswith(trees.MAGIC):
        return trees.recognise(data)
    if head.startswith(_UIMAGE) and len(head) > 31:  # noqa: PLR2004 - where the types are
        uboot = head[28] == _UBOOT_OS or head[30] == _FIRMWARE_TYPE
        return Kind.UBOOT_UIMAGE if uboot else Kind.UIMAGE
    found = _by_mark(head)
    if found in {Kind.KERNEL_ARM64, Kind.KERNEL_RISCV, Kind.KERNEL_ZIMAGE} and _is_uboot(data):
        return Kind.UBOOT  # It can be built with the header of a kernel.
    found = found or _disk(head) or logs.recognise(head)
    # A document may quote a certificate.
    found = found or _document(head) or pem.recognise(data)
    found = found or _text(head) or der.recognise(head, len(data))
    return found or (Kind.UBOOT if _is_uboot(data) else Kind.UNKNOWN)


def check(data: Buffer, wanted: Wanted, name: str) -> Kind:
    """Return the kind of a file, if the intended reader may try to read it.

    Args:
        data: The file.
        wanted: What the reader takes.
        name: What the file is called.

    Raises:
        FormatError: It is something else; the message says what, and the hint what to type.
    """
    found = recognise(data)
    if not wanted.takes(found):
        raise FormatError(
            f"{name} is {found}: expected {wanted.phrase}", hint=advice(found, wanted, name)
        )
    return found


def checked(data: bytes, wanted: Wanted, name: str) -> bytes:
    """Return the content of a file as it is, once `check` has let it pass.

    Raises:
        FormatError: As `check`.
    """
    check(data, wanted, name)
    return data


def _by_mark(head: bytes) -> Kind | None:
    for offset, mark, kind in _MARKS:
        if head.startswith(mark, offset):
            return kind
    return Kind.LZMA if _LZMA.match(head) else None


def _is_uboot(data: Buffer) -> bool:
    return _VERSION.search(memoryview(data)[:_SEARCHED]) is not None


def _disk(head: bytes) -> Kind | None:
    if head.startswith(_GPT, SECTOR):
        return Kind.GPT
    if head.startswith(_GPT, _ADVANCED):
        return Kind.GPT_4096
    if _EXT.match(head):
        return Kind.EXT
    return _boot_sector(head) if head.startswith(_BOOT_MARK, SECTOR - len(_BOOT_MARK)) else None


def _boot_sector(head: bytes) -> Kind | None:
    if _FAT.match(head):
        return Kind.FAT
    types = [head[at + 4] for at in _RECORDS]
    # A protective record alone: the disk has a GPT, whatever became of it.
    if _PROTECTIVE in types:
        return Kind.GPT
    plain = all(head[at] in {0, 0x80} for at in _RECORDS)
    return Kind.MBR if plain and any(types) else None


def _document(head: bytes) -> Kind | None:
    return Kind.JSON if b"\0" not in head[:_TEXT] and _JSON.match(head) else None


def _text(head: bytes) -> Kind | None:
    if head.startswith(_REFERENCE):
        return Kind.KEY_REFERENCE
    start = head[:_TEXT]
    if b"\0" in start:
        return None
    if _BMAP.match(head):
        return Kind.BMAP
    try:
        start.decode()
    except UnicodeDecodeError as error:
        # The bound may have cut a character in two.
        if error.start < len(start) - 3:
            return None
    return Kind.TEXT
