# SPDX-License-Identifier: MIT
"""The two partition tables of a disk, each read strictly and compared with the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats import gpt
from bootseal.formats.kinds.kind import Kind
from bootseal.formats.kinds.recognise import recognise
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from bootseal.disk.hash_tree import Readable
    from bootseal.findings.model import Finding
    from bootseal.formats.gpt import GptEntry, Header


class Copy(NamedTuple):
    """One of the two tables of a disk; `place` is the offset of its header."""

    name: str
    place: int
    header: Header
    entries: tuple[GptEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the tables of a disk say.

    Attributes:
        copies: Those of the two that are well formed, the primary first.
        entries: The partitions, in the order of the disk.
        findings: What is wrong with the tables themselves.
    """

    copies: tuple[Copy, ...]
    entries: tuple[GptEntry, ...]
    findings: tuple[Finding, ...]

    def entry(self, name: str) -> GptEntry | None:
        """Return the partition called `name`; None when there is none, or more than one."""
        found = [entry for entry in self.entries if entry.name == name]
        return found[0] if len(found) == 1 else None


def read(disk: Readable, size: int) -> Table:
    """Read both tables of a disk and compare them.

    Args:
        disk: The disk.
        size: Its size in bytes.
    """
    findings: list[Finding] = []
    if size < 3 * SECTOR or size % SECTOR:
        message = f"the disk has {size} bytes: expected a multiple of {SECTOR}"
        found = finding("disk.size", "disk", message)
        return Table(copies=(), entries=(), findings=(found,))
    if _is_mbr_disk(disk, size):
        message = "this disk has an MBR (DOS) partition table, and U-Boot's boot logic needs a GPT"
        found = finding("disk.mbr-table", "disk", message, offset=0)
        return Table(copies=(), entries=(), findings=(found,))
    try:
        gpt.check_protective_mbr(disk.read(0, SECTOR), size)
    except FormatError as error:
        findings.append(finding("disk.mbr", "protective MBR", error.message, offset=0))
    copies = []
    for name, place in (("primary", SECTOR), ("backup", size - SECTOR)):
        try:
            copies.append(_copy(disk.read, name, place, size))
        except FormatError as error:
            findings.append(finding(f"disk.gpt-{name}", f"{name} GPT", error.message, offset=place))
    if len(copies) > 1:
        findings += _compare(*copies)
    entries = copies[0].entries if copies else ()
    ordered = tuple(sorted(entries, key=lambda entry: entry.offset))
    return Table(copies=tuple(copies), entries=ordered, findings=tuple(findings))


def _is_mbr_disk(disk: Readable, size: int) -> bool:
    """Tell whether a disk has an MBR instead of a GPT, and no remains of one."""
    places = (SECTOR, size - SECTOR)
    remains = any(disk.read(place, SECTOR).startswith(gpt.SIGNATURE) for place in places)
    return not remains and recognise(disk.read(0, 2 * SECTOR)) is Kind.MBR


def primary(read: Callable[[int, int], bytes], size: int) -> dict[str, GptEntry]:
    """Read only the primary table, which is the one that U-Boot and Linux use.

    Args:
        read: Reads from the disk: offset and size to bytes.
        size: Size of the disk in bytes.

    Returns:
        The partitions by name.

    Raises:
        FormatError: It is malformed, or gives two partitions one name.
    """
    try:
        entries = _copy(read, "primary", SECTOR, size).entries
    except FormatError as error:
        raise FormatError(f"the primary GPT: {error.message}") from error
    found = {entry.name: entry for entry in entries}
    if len(found) != len(entries):
        raise FormatError("the primary GPT gives two partitions the same name")
    return found


def _copy(read: Callable[[int, int], bytes], name: str, place: int, size: int) -> Copy:
    header = gpt.parse_header(read(place, SECTOR))
    other, last = (size - SECTOR, SECTOR)[:: 1 if name == "primary" else -1], size - SECTOR
    if (header.place, header.other) != (place, other[0]):
        raise FormatError(
            f"the header at {place:#x} says that it is at {header.place:#x} and the other at "
            f"{header.other:#x}: expected {place:#x} and {other[0]:#x}"
        )
    if not 2 * SECTOR <= header.first_usable <= header.last_usable <= last:
        raise FormatError(
            f"the usable range {header.first_usable:#x} to {header.last_usable:#x} is not on the "
            f"disk of {size:#x} bytes"
        )
    expected = 2 * SECTOR if name == "primary" else place - header.entries_size
    if header.entries != expected:
        raise FormatError(f"its entries are at {header.entries:#x}: expected {expected:#x}")
    end = header.entries + header.entries_size
    if header.entries < header.last_usable and header.first_usable < end:
        raise FormatError("its entries are in the space for partitions")
    entries = gpt.parse_entries(read(header.entries, header.entries_size), header)
    return Copy(name, place, header, entries)


def _compare(primary: Copy, backup: Copy) -> Iterator[Finding]:
    same = ("disk", "first_usable", "last_usable", "count", "entries_crc")
    different = [n for n in same if getattr(primary.header, n) != getattr(backup.header, n)]
    if different or primary.entries != backup.entries:
        what = ", ".join(different) or "entries"
        yield finding(
            "disk.gpt-agreement",
            "backup GPT",
            f"the primary and the backup GPT differ in {what}; a repair tool may pick either",
            offset=backup.place,
        )
