# SPDX-License-Identifier: MIT
"""Every byte of a disk, and what protects it.

A byte is signed only when the chain that leads to it holds; `bootseal.check.disk` finds out.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from bootseal.check import slot_state as state
from bootseal.check.expected import BOOTSTATE
from bootseal.errors import FormatError
from bootseal.fit.coverage import State as FitState
from bootseal.fit.coverage import coverage
from bootseal.formats.boot_partition import POLICY_SIZE
from bootseal.formats.verity import BLOCK, TREE_AT
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bootseal.check.disk import Judgement
    from bootseal.check.slot_fit import SlotFit
    from bootseal.device import Partition
    from bootseal.disk.image import Disk
    from bootseal.fit.coverage import Part


class State(StrEnum):
    """What protects some bytes."""

    SIGNED = "signed"
    VERITY = "verity-covered"
    HASHED = "hashed only"
    UNSIGNED = "consumed but unsigned"
    UNUSED = "unused"


class Kind(StrEnum):
    """How a change of some bytes would be noticed."""

    TABLE = "table"
    STATE = "slot state"
    FIT = "FIT"
    POLICY = "policy"
    VERITY = "verity"
    SUPERBLOCK = "superblock"
    ZEROS = "zeros"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
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
    kind: Kind

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.end - self.start


_OF_FIT: Final = {
    FitState.SIGNED: State.SIGNED,
    FitState.HASHED: State.HASHED,
    FitState.UNSIGNED: State.UNSIGNED,
    FitState.UNUSED: State.UNUSED,
}


def regions(disk: Disk, judged: Judgement) -> tuple[Region, ...]:
    """Return all regions of a disk in its order, without gaps between them."""
    found = [*_tables(judged)]
    for entry in judged.table.entries:
        found += _partition(disk, judged, entry)
    found += [
        Region(
            name=gap.name,
            partition=gap.name.partition(",")[0] if "," in gap.name else "",
            start=gap.start,
            end=gap.end,
            state=State.UNUSED,
            kind=Kind.ZEROS,
        )
        for gap in judged.gaps
    ]
    return tuple(_disjoint(disk.size, found))


def fit_regions(fit: SlotFit, *, good: bool) -> tuple[Region, ...]:
    """Return the regions of a slot's FIT, by their place on the disk; neighbours are merged.

    Args:
        fit: The FIT.
        good: Whether its signatures are good; nothing is signed by others.
    """
    try:
        parts = coverage(fit.strict).parts
    except FormatError:
        parts = ()
    merged: list[Region] = []
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
    return (_region(fit.entry.name, "FIT", start, start + len(fit.data), State.UNSIGNED, Kind.FIT),)


def _of_part(fit: SlotFit, part: Part, *, good: bool) -> Region:
    payload = part.name == "data" and part.path.startswith("/images/")
    name = part.path if payload else "FIT structure"
    mapped = _OF_FIT[part.state]
    if mapped is State.SIGNED and not good:
        mapped = State.UNSIGNED
    start = fit.entry.offset + part.start
    return _region(fit.entry.name, name, start, start + part.size, mapped, Kind.FIT)


def _tables(judged: Judgement) -> Iterator[Region]:
    yield _region("", "protective MBR", 0, SECTOR, State.UNSIGNED, Kind.TABLE)
    for copy in judged.table.copies:
        header, name = copy.header, f"{copy.name} GPT"
        end = header.entries + header.entries_size
        for start, stop in ((copy.place, copy.place + SECTOR), (header.entries, end)):
            yield _region("", name, start, stop, State.UNSIGNED, Kind.TABLE)


def _partition(disk: Disk, judged: Judgement, entry: Partition) -> Iterator[Region]:
    """Yield the regions of a partition that are in use."""
    chain, name, start = judged.chain, entry.name, entry.offset
    if name == BOOTSTATE:
        end = min(start + state.SIZE, entry.end)
        yield _region(name, "slot state", start, end, State.UNSIGNED, Kind.STATE)
        return
    for fit in chain.fits:
        good = fit.slot.name not in chain.refused
        if fit.entry.name == name:
            yield from fit_regions(fit, good=good)
            yield from _policy(disk, fit, approved=fit.slot.name in chain.approved)
            return
        for root in (root for root in chain.roots if root.name == fit.slot.root):
            covered = State.VERITY if good else State.HASHED
            if name == fit.slot.root:
                end = start + root.tree.blocks * BLOCK
                yield _region(name, "data blocks", start, end, covered, Kind.VERITY)
                return
            if name == fit.slot.verity:
                tree, end = start + TREE_AT, start + root.tree.end
                unused = State.UNUSED
                yield _region(name, "superblock", start, tree, unused, Kind.SUPERBLOCK)
                yield _region(name, "hash tree", tree, end, covered, Kind.VERITY)
                return
    yield _region(name, "", start, entry.end, State.UNSIGNED, Kind.NONE)


def _policy(disk: Disk, fit: SlotFit, *, approved: bool) -> Iterator[Region]:
    start = fit.policy_offset
    text = len(disk.read(start, POLICY_SIZE).rstrip(b"\0"))
    found = State.SIGNED if approved else State.UNSIGNED
    name, end = fit.entry.name, start + text
    yield _region(name, "PCR policy", start, end, found, Kind.POLICY)
    yield _region(name, "PCR policy, padding", end, fit.entry.end, State.UNUSED, Kind.POLICY)


def _region(
    partition: str, what: str, start: int, end: int, protected: State, kind: Kind
) -> Region:
    name = f"{partition}: {what}" if partition and what else partition or what
    return Region(name=name, partition=partition, start=start, end=end, state=protected, kind=kind)


def _widened(region: Region, end: int) -> Region:
    return dataclasses.replace(region, end=end)


def _disjoint(size: int, found: Iterable[Region]) -> Iterator[Region]:
    """Yield regions that overlap nothing, with what nobody knows filled in."""
    end = 0
    for region in sorted(found, key=lambda each: (each.start, each.end)):
        start, stop = max(region.start, end), min(region.end, size)
        if start >= stop:
            continue
        if start > end:
            yield _region("", "unknown", end, start, State.UNSIGNED, Kind.NONE)
        yield dataclasses.replace(region, start=start, end=stop)
        end = stop
    if end < size:
        yield _region("", "unknown", end, size, State.UNSIGNED, Kind.NONE)
