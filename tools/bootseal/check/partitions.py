# SPDX-License-Identifier: MIT
"""The partition tables of a disk: well formed, in agreement, and what was declared."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.check.expected import DATA
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats import gpt
from bootseal.units import MIB, SECTOR, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.device import Partition
    from bootseal.disk.hash_tree import Readable
    from bootseal.findings.model import Finding
    from bootseal.formats.gpt import Entry, Header

_ALIGNMENT: Final = MIB


class Copy(NamedTuple):
    """One of the two tables of a disk; `place` is the offset of its header."""

    name: str
    place: int
    header: Header
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the tables of a disk say.

    Attributes:
        copies: Those of the two that are well formed, the primary first.
        entries: The partitions, in the order of the disk.
        findings: What is wrong with the tables themselves.
    """

    copies: tuple[Copy, ...]
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]

    def entry(self, name: str) -> Entry | None:
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
    try:
        gpt.check_protective_mbr(disk.read(0, SECTOR), size)
    except FormatError as error:
        findings.append(finding("disk.mbr", "protective MBR", error.message, offset=0))
    copies = []
    for name, place in (("primary", SECTOR), ("backup", size - SECTOR)):
        try:
            copies.append(_copy(disk, name, place, size))
        except FormatError as error:
            findings.append(finding(f"disk.gpt-{name}", f"{name} GPT", error.message, offset=place))
    if len(copies) > 1:
        findings += _compare(*copies)
    entries = copies[0].entries if copies else ()
    ordered = tuple(sorted(entries, key=lambda entry: entry.offset))
    return Table(copies=tuple(copies), entries=ordered, findings=tuple(findings))


def _copy(disk: Readable, name: str, place: int, size: int) -> Copy:
    header = gpt.parse_header(disk.read(place, SECTOR))
    other, last = (size - SECTOR, SECTOR)[:: 1 if name == "primary" else -1], size - SECTOR
    if (header.place, header.other) != (place, other[0]):
        raise FormatError(
            f"the header at {place:#x} says that it is at {header.place:#x} and the other at "
            f"{header.other:#x}: expected {place:#x} and {other[0]:#x}"
        )
    if not 2 * SECTOR <= header.first_usable <= header.last_usable <= last:
        raise FormatError(
            f"{header.first_usable:#x} to {header.last_usable:#x} may be used, which the disk of "
            f"{size:#x} bytes does not have"
        )
    expected = 2 * SECTOR if name == "primary" else place - header.entries_size
    if header.entries != expected:
        raise FormatError(f"its entries are at {header.entries:#x}: expected {expected:#x}")
    end = header.entries + header.entries_size
    if header.entries < header.last_usable and header.first_usable < end:
        raise FormatError("its entries lie in the space for partitions")
    entries = gpt.parse_entries(disk.read(header.entries, header.entries_size), header)
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


def check(table: Table, declared: Sequence[Partition]) -> Iterator[Finding]:
    """Yield what is wrong with the partitions.

    Args:
        table: What the tables say.
        declared: The declared partitions.
    """
    yield from _places(table)
    for name, values in (
        ("name", [entry.name for entry in table.entries]),
        ("GUID", [entry.uuid for entry in table.entries]),
    ):
        for value in sorted({v for v in values if values.count(v) > 1}):
            yield finding("disk.duplicate", value, f"two partitions have this {name}")
    wanted = {partition.name: partition for partition in declared}
    for entry in table.entries:
        if entry.name in wanted:
            yield from _compare_entry(entry, wanted[entry.name])
        elif entry.name == DATA:
            yield finding(
                "disk.data-present",
                entry.name,
                "the disk has been booted: the data partition is made by the first boot",
                offset=entry.offset,
            )
        else:
            yield finding(
                "disk.unexpected", entry.name, "the partition is not declared", offset=entry.offset
            )
    for partition in declared:
        if partition.name not in {entry.name for entry in table.entries}:
            yield finding(
                "disk.missing",
                partition.name,
                "the declared partition is not there",
                offset=partition.offset,
            )


def _places(table: Table) -> Iterator[Finding]:
    if not table.copies:
        return
    header = table.copies[0].header
    for entry in table.entries:
        if entry.offset < header.first_usable or entry.end > header.last_usable:
            message = (
                f"{entry.offset:#x} to {entry.end:#x} leaves the space for partitions, "
                f"{header.first_usable:#x} to {header.last_usable:#x}"
            )
            yield finding("disk.outside", entry.name, message, offset=entry.offset)
        if entry.offset % _ALIGNMENT:
            yield finding(
                "disk.alignment",
                entry.name,
                f"{entry.offset:#x} is not a multiple of {_ALIGNMENT:#x}",
                offset=entry.offset,
            )
    for before, after in pairwise(table.entries):
        if after.offset < before.end:
            message = f"it begins {format_size(before.end - after.offset)} inside {before.name}"
            yield finding("disk.overlap", after.name, message, offset=after.offset)
        elif after.offset - before.end >= _ALIGNMENT:
            size = format_size(after.offset - before.end)
            yield finding(
                "disk.gap",
                after.name,
                f"{size} in front of it belong to no partition",
                offset=before.end,
            )


def _compare_entry(entry: Entry, declared: Partition) -> Iterator[Finding]:
    pairs = {
        "number": (declared.number, entry.number),
        "type": (declared.type.lower(), entry.type),
        "guid": (declared.uuid.lower(), entry.uuid),
        "place": (
            f"{declared.offset:#x}+{declared.size:#x}",
            f"{entry.offset:#x}+{entry.size:#x}",
        ),
        "attributes": ("0x0", f"{entry.attributes:#x}"),
    }
    for what, (expected, observed) in pairs.items():
        if expected != observed:
            yield finding(
                f"disk.partition-{what}",
                entry.name,
                f"its {what} is {observed}: declared is {expected}",
                offset=entry.offset,
                expected=str(expected),
                observed=str(observed),
            )
