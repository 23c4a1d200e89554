# SPDX-License-Identifier: MIT
"""What belongs to nothing on a disk, and must therefore be zero: it is not checked later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.check.expected import BOOTSTATE
from bootseal.check.firmware import brought
from bootseal.files import opened
from bootseal.findings.catalogue import finding
from bootseal.formats import bank_choice
from bootseal.formats.uboot import slot_state
from bootseal.formats.verity import BLOCK
from bootseal.units import MIB, SECTOR

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.check.boot_chain import Chain
    from bootseal.check.expected import Expected
    from bootseal.check.firmware import Bank
    from bootseal.disk.image import Disk
    from bootseal.disk.partitions import Table
    from bootseal.findings.model import Finding


_STEP: Final = MIB
_SHOWN: Final = 16
"""Bytes of what is found that a finding shows."""


class Gap(NamedTuple):
    """Bytes that must be zero: what they are, and where they start and end on the disk."""

    name: str
    start: int
    end: int


def areas(disk: Disk, table: Table, target: Expected) -> list[Gap]:
    """Return where what is declared besides the slots is on this disk."""
    found = []
    for area in target.areas:
        after = (e.offset for e in table.entries if e.offset > area.offset)
        end = area.offset + area.size if area.size else min(after, default=disk.size)
        found.append(Gap(area.name, area.offset, min(end, disk.size)))
    return found


def check_areas(disk: Disk, found: list[Gap], target: Expected) -> Iterator[Finding]:
    """Yield where a declared area does not hold its file, and which have none to compare with."""
    for area in found:
        path = target.area_files.get(area.name)
        if path is None:
            yield finding(
                "disk.boot-loader-unchecked",
                area.name,
                f"declared at {area.start:#x} to {area.end:#x}, and not compared with a file",
                offset=area.start,
            )
        elif (offset := _difference(disk, area, path)) is not None:
            yield finding(
                "disk.boot-loader",
                area.name,
                f"it differs from {path.name} at {offset:#x}",
                offset=offset,
            )


def _difference(disk: Disk, area: Gap, path: Path) -> int | None:
    """Return the first offset at which an area is not its file, followed by zeros."""
    place = area.start
    with opened(path) as file:
        while wanted := file.read(_STEP):
            held = disk.read(place, max(0, min(len(wanted), area.end - place)))
            if held != wanted:
                pairs = zip(held, wanted, strict=False)
                same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(held))
                return place + same
            place += len(wanted)
    return disk.nonzero(place, area.end)


def gaps(
    disk: Disk, table: Table, chain: Chain, declared: list[Gap], banks: Sequence[Bank] = ()
) -> list[Gap]:
    """Return all of them, in the order of the disk; what is declared outside belongs there."""
    found = [*_between(disk, table, declared), *unused(disk, table, chain, banks)]
    return sorted(found, key=lambda gap: gap.start)


def unused(disk: Disk, table: Table, chain: Chain, banks: Sequence[Bank] = ()) -> list[Gap]:
    """Return those in partitions that neither the chain of trust nor a boot ROM reaches."""
    found: list[Gap] = []
    sizes = {bank.entry.name: len(bank.fip.data) for bank in banks}
    for entry in table.entries:
        used = sizes.get(entry.name, _used(entry.name, chain))
        if entry.name == BOOTSTATE:
            taken = [(place, place + slot_state.SIZE) for place in slot_state.places(entry.size)]
            if banks:
                taken.append((bank_choice.PLACE, bank_choice.PLACE + bank_choice.SIZE))
            taken.sort()
            for (_, end), (start, _) in pairwise(taken):
                found.append(Gap(f"{entry.name}, unused", entry.offset + end, entry.offset + start))
            used = taken[-1][1]
        end = next(
            (fit.policy_offset for fit in chain.fits if fit.entry.name == entry.name), entry.end
        )
        loaders = brought(disk, entry) if end < entry.end else None
        if used is not None and loaders is not None:
            start = entry.offset + used
            if start < loaders.offset:
                found.append(Gap(f"{entry.name}, unused", start, loaders.offset))
            # What is malformed has its own finding.
            used = loaders.offset - entry.offset + sizes.get(loaders.name, loaders.size)
        if used is not None and entry.offset + used < end:
            found.append(Gap(f"{entry.name}, unused end", entry.offset + used, end))
    return found


def check(disk: Disk, found: list[Gap]) -> Iterator[Finding]:
    """Yield where they are not zero."""
    for gap in found:
        offset = disk.nonzero(gap.start, gap.end)
        if offset is not None:
            yield finding(
                "disk.hidden-data",
                gap.name,
                f"there is data at {offset:#x}, where there must be none",
                offset=offset,
                expected="zeros",
                observed=disk.read(offset, min(_SHOWN, gap.end - offset)).hex(),
            )


def _used(name: str, chain: Chain) -> int | None:
    """Return how many bytes of a partition the chain leads to; None if it knows nothing of it."""
    for fit in chain.fits:
        if fit.entry.name == name:
            return len(fit.data)
    for root, fit in ((r, f) for r in chain.roots for f in chain.fits if f.slot.root == r.name):
        if fit.slot.root == name:
            return root.tree.blocks * BLOCK
        if fit.slot.verity == name:
            return root.tree.end
    return None


def _between(disk: Disk, table: Table, declared: list[Gap]) -> Iterator[Gap]:
    """Yield what is in no partition and in no partition table."""
    taken = [(0, SECTOR), *((entry.offset, entry.end) for entry in table.entries)]
    taken += [(area.start, area.end) for area in declared]
    # A broken table still has its place, which the other one tells.
    room = SECTOR + max((copy.header.entries_size for copy in table.copies), default=0)
    taken += [(SECTOR, SECTOR + room), (disk.size - room, disk.size)]
    end = 0
    for start, stop in [*sorted(taken), (disk.size, disk.size)]:
        if start > end:
            name = "unallocated" if start < disk.size else "unallocated end"
            yield Gap(name, end, start)
        end = max(end, stop)
