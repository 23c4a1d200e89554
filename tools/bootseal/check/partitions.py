# SPDX-License-Identifier: MIT
"""The partitions of a disk: within bounds, apart from each other, and what was declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bootseal.check.expected import DATA
from bootseal.findings.catalogue import finding
from bootseal.units import MIB, format_size

if TYPE_CHECKING:
    from bootseal.device import Partition
    from bootseal.disk.partitions import Table
    from bootseal.findings.model import Finding
    from bootseal.formats.gpt import GptEntry

_ALIGNMENT: Final = MIB
_LINUX_GENERIC: Final = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def check(table: Table, declared: Sequence[Partition], disk_guid: str = "") -> Iterator[Finding]:
    """Yield what is wrong with the tables and the partitions.

    Args:
        table: What the tables say.
        declared: The declared partitions.
        disk_guid: The declared GUID of the disk; empty when nothing declares it.
    """
    yield from table.findings
    yield from _disk_guid(table, disk_guid)
    if not table.copies:
        return  # Of no partition it can be told whether it is there.
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
            yield from _compare_data(entry, declared)
        else:
            yield finding(
                "disk.unexpected", entry.name, "the partition is not declared", offset=entry.offset
            )
    for partition in declared:
        if partition.name not in {entry.name for entry in table.entries}:
            yield finding(
                "disk.missing",
                partition.name,
                "the declared partition is missing",
                offset=partition.offset,
            )


def _disk_guid(table: Table, declared: str) -> Iterator[Finding]:
    for copy in table.copies[:1]:
        if declared and copy.header.disk != declared:
            yield finding(
                "disk.guid",
                f"{copy.name} GPT",
                f"the disk's GUID is {copy.header.disk}: expected {declared}",
                offset=copy.place,
                expected=declared,
                observed=copy.header.disk,
            )


def _places(table: Table) -> Iterator[Finding]:
    if not table.copies:
        return
    header = table.copies[0].header
    for entry in table.entries:
        if entry.offset < header.first_usable or entry.end > header.last_usable:
            message = (
                f"{entry.offset:#x} to {entry.end:#x} is not inside the space for partitions, "
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
                f"{size} in front of it are in no partition",
                offset=before.end,
            )


def _compare_entry(entry: GptEntry, declared: Partition) -> Iterator[Finding]:
    yield from _differences(
        entry,
        {
            "number": (declared.number, entry.number),
            "type": (declared.type.lower(), entry.type),
            # wic draws a GUID that is not declared.
            "guid": (declared.uuid.lower() or entry.uuid, entry.uuid),
            "place": (
                f"{declared.offset:#x}+{declared.size:#x}",
                f"{entry.offset:#x}+{entry.size:#x}",
            ),
            "attributes": (f"{declared.attributes:#x}", f"{entry.attributes:#x}"),
        },
    )


def _compare_data(entry: GptEntry, declared: Sequence[Partition]) -> Iterator[Finding]:
    """Compare the data partition with the one that systemd-repart makes behind the others.

    Its GUID is the device's own; 50-data.conf has its type.
    """
    end = max((each.end for each in declared), default=0)
    behind = f"from {end:#x} on"
    pairs = {
        "number": (max((each.number for each in declared), default=0) + 1, entry.number),
        "type": (_LINUX_GENERIC, entry.type),
        "attributes": ("0x0", f"{entry.attributes:#x}"),
        "place": (behind, behind if entry.offset >= end else f"at {entry.offset:#x}"),
    }
    yield from _differences(entry, pairs)


def _differences(entry: GptEntry, pairs: Mapping[str, tuple[object, object]]) -> Iterator[Finding]:
    for what, (expected, observed) in pairs.items():
        if expected != observed:
            yield finding(
                f"disk.partition-{what}",
                entry.name,
                f"its {what} is {observed}: expected {expected}",
                offset=entry.offset,
                expected=str(expected),
                observed=str(observed),
            )
