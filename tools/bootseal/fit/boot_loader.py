# SPDX-License-Identifier: MIT
"""Where a boot loader's file holds the device tree that U-Boot uses for itself.

With OF_SEPARATE it is at the end of `u-boot.bin`; with OF_EMBED it is inside the ELF file
`u-boot`, between two symbols; `u-boot.elf` holds a whole `u-boot.bin` as a segment.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.files import BOOT_LOADER
from bootseal.findings.catalogue import finding
from bootseal.formats.fdt import model as fdt
from bootseal.formats.kinds import trees
from bootseal.formats.kinds.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import Section

    from bootseal.findings.model import Finding
    from bootseal.formats.fdt.model import Buffer

_log: Final = logging.getLogger(__name__)

ELF_MAGIC: Final = b"\x7fELF"
GATE: Final = b"bootseal gate "
"""Is in every U-Boot with the gate of meta-secureboot's patches, before a version number."""

_FDT_MAGIC: Final = bytes.fromhex("d00dfeed")
_SYMBOLS: Final = ("__dtb_dt_begin", "__dtb_dt_end")
_SECTION: Final = ".dtb.init.rodata"


def locate(data: Buffer) -> tuple[int, int]:
    """Return start and end offset of the control device tree in `data`.

    In a flat file it is the first valid device tree with nothing but zeros behind it.

    Raises:
        FormatError: There is none, or `data` is a damaged ELF file.
    """
    if len(data) > BOOT_LOADER:
        raise FormatError(
            f"{len(data)} bytes are too many for a boot loader: expected up to {BOOT_LOADER}"
        )
    if bytes(data[:4]) == _FDT_MAGIC:
        _log.info("control device tree: the file itself")
        return 0, fdt.total_size(data)
    raw = bytes(data)
    elf = raw.startswith(ELF_MAGIC)
    ranges = _elf_ranges(raw) if elf else [(0, len(raw))]
    for start, end in ranges:
        found = _search(raw, start, end)
        if found is not None:
            kind = "an ELF file" if elf else "a flat binary"
            _log.info("control device tree: bytes %#x to %#x of %s", *found, kind)
            return found
    raise FormatError(
        f"no device tree found in {len(raw)} bytes: expected a control device tree, or a boot "
        "loader that contains one"
    )


def has_gate(data: Buffer) -> bool:
    """Return whether this is a boot loader with the gate; a device tree alone is not one."""
    return GATE in bytes(data)


def check_gate(data: Buffer) -> tuple[Finding, ...]:
    """Return a warning when this is a boot loader without the gate in front of U-Boot's FIT code.

    A device tree alone says nothing about the boot loader that it will be part of.
    """
    alone = bytes(data[:4]) == _FDT_MAGIC and trees.recognise(data) is not Kind.UBOOT_FIT
    if alone or has_gate(data):
        return ()
    message = (
        "no gate in front of its FIT code, which has memory errors in every release: apply the "
        "patches of meta-secureboot"
    )
    return (finding("fit.no-gate", "boot loader", message),)


def _search(raw: bytes, first: int, last: int) -> tuple[int, int] | None:
    view = memoryview(raw)
    start = raw.find(_FDT_MAGIC, first, last)
    while start >= 0:
        try:
            end = start + fdt.read(view[start:last]).header.total_size
        except FormatError:
            end = 0
        if end and not raw[end:last].strip(b"\0"):
            return start, end
        start = raw.find(_FDT_MAGIC, start + 1, last)
    return None


def _elf_ranges(raw: bytes) -> list[tuple[int, int]]:
    """Return the file ranges that may end with the device tree, the likeliest first."""
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - slow to load
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    try:
        found = list(_candidates(ELFFile(io.BytesIO(raw))))
    # What pyelftools raises for damaged files, in addition to its own errors.
    except (ELFError, ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        raise FormatError(f"the ELF file is damaged: {error}") from error
    except AttributeError as error:
        raise FormatError("the ELF file is damaged: a table is missing") from error
    return [(start, end) for start, end in found if 0 <= start < end <= len(raw)]


def section(elf: ELFFile, name: str) -> Section | None:
    """Return the section called `name`, whatever the others look like.

    U-Boot's own linker script leaves a section that pyelftools refuses, and with it every search
    by name.
    """
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - slow to load

    for number in range(elf.num_sections()):
        try:
            found = elf.get_section(number)
        except ELFError:
            continue
        if found.name == name:
            return found
    return None


def _candidates(elf: ELFFile) -> Iterator[tuple[int, int]]:
    from elftools.elf.sections import SymbolTableSection  # noqa: PLC0415 - slow to load

    symbols = section(elf, ".symtab")
    if isinstance(symbols, SymbolTableSection):
        addresses = [symbols.get_symbol_by_name(name) for name in _SYMBOLS]
        values = [found[0]["st_value"] for found in addresses if found]
        if len(values) == len(_SYMBOLS):
            start, end = values
            yield from ((offset, offset + end - start) for offset in elf.address_offsets(start))
    embedded = section(elf, _SECTION)
    if embedded is not None:
        yield embedded["sh_offset"], embedded["sh_offset"] + embedded["sh_size"]
    for segment in elf.iter_segments():
        if segment["p_type"] == "PT_LOAD":
            yield segment["p_offset"], segment["p_offset"] + segment["p_filesz"]
