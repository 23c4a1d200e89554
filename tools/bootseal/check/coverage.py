# SPDX-License-Identifier: MIT
"""Every byte of a disk, and what protects it.

A byte is signed only when the chain that leads to it holds; `bootseal.check.disk` finds out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from bootseal.check.expected import BOOTSTATE
from bootseal.check.firmware import BROUGHT
from bootseal.errors import FormatError
from bootseal.fit.coverage import Part, coverage
from bootseal.formats import bank_choice
from bootseal.formats.boot_partition import POLICY_SIZE
from bootseal.formats.uboot import slot_state
from bootseal.formats.verity import BLOCK, TREE_AT
from bootseal.protection import State
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from bootseal.check.disk import DiskVerdict
    from bootseal.check.slot_fit import SlotFit
    from bootseal.device import Partition
    from bootseal.disk.image import Disk


class CheckedBy(StrEnum):
    """How a change of some bytes would be noticed."""

    TABLE = "table"
    STATE = "slot state"
    CHOICE = "bank choice"
    FIRMWARE = "firmware"
    FIT = "FIT"
    POLICY = "policy"
    VERITY = "verity"
    SUPERBLOCK = "superblock"
    ZEROS = "zeros"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRegion:
    """Bytes of one kind.

    Attributes:
        name: What they are, for example `boot-a: /images/kernel-1`.
        partition: Name of the partition they are in; empty for none.
        start: Offset on the disk.
        end: Offset of the first byte behind.
        state: What protects them.
        kind: How a change would be noticed.
    """

    name: str
    partition: str
    start: int
    end: int
    state: State
    kind: CheckedBy

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.end - self.start


def regions(disk: Disk, verdict: DiskVerdict) -> tuple[DiskRegion, ...]:
    """Return all regions of a disk in its order, without gaps between them."""
    found = [*_tables(verdict)]
    for entry in verdict.table.entries:
        found += _partition(disk, verdict, entry)
    found += [
        DiskRegion(
            name=gap.name,
            partition=gap.name.partition(",")[0] if "," in gap.name else "",
            start=gap.start,
            end=gap.end,
            state=State.UNUSED,
            kind=CheckedBy.ZEROS,
        )
        for gap in verdict.gaps
    ]
    found += [
        _region("", area.name, area.start, area.end, State.UNSIGNED, CheckedBy.NONE)
        for area in verdict.areas
    ]
    return tuple(_disjoint(disk.size, found))


def fit_regions(fit: SlotFit, *, good: bool) -> tuple[DiskRegion, ...]:
    """Return the regions of a slot's FIT, by their place on the disk; neighbours are merged.

    Args:
        fit: The FIT.
        good: Whether its signatures are good; nothing is signed by others.
    """
    try:
        parts = coverage(fit.strict).parts
    except FormatError:
        parts = ()
    merged: list[DiskRegion] = []
    for part in parts:
        region = _of_part(fit, part, good=good)
        last = merged[-1] if merged else None
        if last and (last.name, last.state) == (region.name, region.state):
            merged[-1] = _widened(last, region.end)
        else:
            merged.append(region)
    if parts:
        return tuple(merged)
    start = fit.entry.offset
    return (
        _region(fit.entry.name, "FIT", start, start + len(fit.data), State.UNSIGNED, CheckedBy.FIT),
    )


def _of_part(fit: SlotFit, part: Part, *, good: bool) -> DiskRegion:
    payload = part.name == "data" and part.path.startswith("/images/")
    name = part.path if payload else "FIT structure"
    refused = part.state is State.SIGNED and not good
    start = fit.entry.offset + part.start
    state = State.UNSIGNED if refused else part.state
    return _region(fit.entry.name, name, start, start + part.size, state, CheckedBy.FIT)


def _tables(verdict: DiskVerdict) -> Iterator[DiskRegion]:
    yield _region("", "protective MBR", 0, SECTOR, State.UNSIGNED, CheckedBy.TABLE)
    for copy in verdict.table.copies:
        header, name = copy.header, f"{copy.name} GPT"
        end = header.entries + header.entries_size
        for start, stop in ((copy.place, copy.place + SECTOR), (header.entries, end)):
            yield _region("", name, start, stop, State.UNSIGNED, CheckedBy.TABLE)


def _partition(disk: Disk, verdict: DiskVerdict, entry: Partition) -> Iterator[DiskRegion]:
    """Yield the regions of a partition that are in use."""
    chain, name, start = verdict.chain, entry.name, entry.offset
    if name == BOOTSTATE:
        yield from _state(verdict, entry)
        return
    if loaders := [*_loaders(verdict, name)]:
        yield from loaders
        return
    for fit in chain.fits:
        good = fit.slot.name not in chain.refused
        if fit.entry.name == name:
            yield from fit_regions(fit, good=good)
            yield from _loaders(verdict, f"{name}{BROUGHT}")
            yield from _policy(disk, fit, approved=fit.slot.name in chain.approved)
            return
        for root in (root for root in chain.roots if root.name == fit.slot.root):
            covered = State.VERITY if good else State.HASHED
            if name == fit.slot.root:
                end = start + root.tree.blocks * BLOCK
                yield _region(name, "data blocks", start, end, covered, CheckedBy.VERITY)
                return
            if name == fit.slot.verity:
                tree, end = start + TREE_AT, start + root.tree.end
                unused = State.UNUSED
                yield _region(name, "superblock", start, tree, unused, CheckedBy.SUPERBLOCK)
                yield _region(name, "hash tree", tree, end, covered, CheckedBy.VERITY)
                return
    yield _region(name, "", start, entry.end, State.UNSIGNED, CheckedBy.NONE)


def _loaders(verdict: DiskVerdict, name: str) -> Iterator[DiskRegion]:
    """Yield the regions of the boot loaders in a bank, or of those that a release brings."""
    for bank in (bank for bank in verdict.banks if bank.entry.name == name):
        start = bank.entry.offset
        for part in bank.verdict.regions:
            state = part.state if bank.good or part.state is State.UNUSED else State.UNSIGNED
            first, last = start + part.start, start + part.end
            yield _region(name, part.name, first, last, state, CheckedBy.FIRMWARE)


def _state(verdict: DiskVerdict, entry: Partition) -> Iterator[DiskRegion]:
    """Yield the copies of the slot state, and the block that chooses a bank."""
    for place in slot_state.places(entry.size):
        start = entry.offset + place
        end = min(start + slot_state.SIZE, entry.end)
        what = "slot state, second copy" if place else "slot state"
        yield _region(entry.name, what, start, end, State.UNSIGNED, CheckedBy.STATE)
    if verdict.banks:
        start = entry.offset + bank_choice.PLACE
        end = min(start + bank_choice.SIZE, entry.end)
        yield _region(entry.name, "bank choice", start, end, State.UNSIGNED, CheckedBy.CHOICE)


def _policy(disk: Disk, fit: SlotFit, *, approved: bool) -> Iterator[DiskRegion]:
    start = fit.policy_offset
    text = len(disk.read(start, POLICY_SIZE).rstrip(b"\0"))
    found = State.SIGNED if approved else State.UNSIGNED
    name, end = fit.entry.name, start + text
    yield _region(name, "PCR policy", start, end, found, CheckedBy.POLICY)
    yield _region(name, "PCR policy, padding", end, fit.entry.end, State.UNUSED, CheckedBy.POLICY)


def _region(
    partition: str, what: str, start: int, end: int, protected: State, kind: CheckedBy
) -> DiskRegion:
    name = f"{partition}: {what}" if partition and what else partition or what
    return DiskRegion(
        name=name, partition=partition, start=start, end=end, state=protected, kind=kind
    )


def _widened(region: DiskRegion, end: int) -> DiskRegion:
    return dataclasses.replace(region, end=end)


def _disjoint(size: int, found: Iterable[DiskRegion]) -> Iterator[DiskRegion]:
    """Yield regions that overlap nothing, with what is not known filled in."""
    end = 0
    for region in sorted(found, key=lambda each: (each.start, each.end)):
        start, stop = max(region.start, end), min(region.end, size)
        if start >= stop:
            continue
        if start > end:
            yield _region("", "unknown", end, start, State.UNSIGNED, CheckedBy.NONE)
        yield dataclasses.replace(region, start=start, end=stop)
        end = stop
    if end < size:
        yield _region("", "unknown", end, size, State.UNSIGNED, CheckedBy.NONE)
