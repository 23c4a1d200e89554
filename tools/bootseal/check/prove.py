# SPDX-License-Identifier: MIT
"""The negative control of a check: change a disk, and see each change refused.

One bit at a time is inverted in memory, at positions that follow from a seed, and what would
notice it is checked again: a block of the root up to the root hash, a FIT by the keys, a table by
its checksums and the declared layout. Bytes that no signature leads to may be noticed, too; who
changes them on purpose makes the checksum fit, so they count as uncovered all the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.check import boot_chain, firmware, partitions
from bootseal.check import slot_state as state
from bootseal.check.coverage import CheckedBy, DiskRegion, regions
from bootseal.check.slot_policy import check_policy
from bootseal.disk import hash_tree
from bootseal.disk.partitions import read as read_tables
from bootseal.errors import FormatError
from bootseal.findings.model import Finding, Severity
from bootseal.firmware.chain import Key
from bootseal.firmware.prove import TRIES, Changes, RegionProof, prove_region
from bootseal.fit import prove as fit_prove
from bootseal.fit.verify.digest import PayloadCache
from bootseal.fit.verify.verdict import FitVerdict, check_fit
from bootseal.formats.verity import BLOCK
from bootseal.protection import State

if TYPE_CHECKING:
    from bootseal.check.disk import DiskVerdict
    from bootseal.check.expected import Expected
    from bootseal.check.slot_fit import SlotFit
    from bootseal.disk.image import Disk
    from bootseal.progress import Progress


class Flipped:
    """A disk with one bit inverted, in memory."""

    def __init__(self, disk: Disk, offset: int, bit: int) -> None:
        self._disk = disk
        self._offset = offset
        self._bit = bit

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`."""
        found = self._disk.read(offset, size)
        if not offset <= self._offset < offset + size:
            return found
        changed = bytearray(found)
        changed[self._offset - offset] ^= 1 << self._bit
        return bytes(changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskProof:
    """All regions, and the seed that chose the positions."""

    seed: int
    regions: tuple[RegionProof, ...]

    @property
    def broken(self) -> tuple[RegionProof, ...]:
        """The covered regions with a change that was not noticed; there must be none."""
        return tuple(r for r in self.regions if r.covered and r.refused < r.tries)

    @property
    def uncovered(self) -> tuple[RegionProof, ...]:
        """The regions that no signature covers."""
        return tuple(r for r in self.regions if not r.covered)


def prove(
    disk: Disk,
    target: Expected,
    verdict: DiskVerdict,
    progress: Progress,
    *,
    seed: int = 0,
    tries: int = TRIES,
) -> DiskProof:
    """Change every region of an accepted disk and check each change.

    Args:
        disk: The disk; it is not written.
        target: What it is checked against.
        verdict: The verdict on the unchanged disk.
        progress: Told about the regions that take long.
        seed: Chooses positions and bits.
        tries: Changes in each region.
    """
    checks = _Checks(disk, target, verdict)
    found: dict[tuple[str, State], list[DiskRegion]] = {}
    for region in regions(disk, verdict):
        found.setdefault((region.name, region.state), []).append(region)
    with progress.step(f"{tries} changes in each of {len(found)} regions"):
        proofs = [_prove(checks, spans, seed, tries) for spans in found.values()]
    with progress.step("every signed property of the FITs changed"):
        proofs += [_properties(disk, verdict, fit, seed) for fit in checks.unique]
    return DiskProof(seed=seed, regions=tuple(proofs))


def _prove(checks: _Checks, regions: list[DiskRegion], seed: int, tries: int) -> RegionProof:
    first = regions[0]
    # The same bytes in another slot get the same changes, and are checked once.
    twin = checks.twin(first)
    choice = random.Random(f"{seed} {twin} {first.state}")  # noqa: S311 - repeatable on purpose
    spans = [range(region.start, region.end) for region in regions]

    def refuses(offset: int, bit: int) -> bool:
        region = next(r for r in regions if r.start <= offset < r.end)
        return checks.refuses(region, offset, bit)

    return prove_region(first.name or "unallocated", first.state, spans, refuses, choice, tries)


def _properties(disk: Disk, verdict: DiskVerdict, fit: SlotFit, seed: int) -> RegionProof:
    """Change every property of a FIT that is signed, and its payloads at their ends."""
    view = disk.view(fit.entry.offset, len(fit.data), private=True)
    trust = verdict.chain.trust
    proof = fit_prove.prove(view, trust, strictness=fit.strictness, seed=seed, tries=2)
    flips = [flip for mutant in proof.accepted for flip in mutant.flips]
    return RegionProof(
        name=f"{fit.entry.name}: each signed property of the FIT",
        state=State.SIGNED,
        size=len(fit.data),
        tries=len(proof.mutants),
        refused=len(proof.mutants) - len(proof.accepted),
        accepted=(fit.entry.offset + flips[0][0], flips[0][1]) if flips else None,
    )


class _Checks:
    """Says for one change at a time whether it is refused."""

    def __init__(self, disk: Disk, target: Expected, verdict: DiskVerdict) -> None:
        self._disk = disk
        self._target = target
        self._verdict = verdict
        self._fits: dict[str, _FitCheck] = {}
        self._banks: dict[str, tuple[int, Changes]] = {}
        self.unique: list[SlotFit] = []
        for fit in verdict.chain.fits:
            same = next((each for each in self.unique if each.data is fit.data), None)
            if same is None:
                self.unique.append(fit)
                self._fits[fit.entry.name] = _FitCheck(disk, verdict, fit)
            else:
                self._fits[fit.entry.name] = self._fits[same.entry.name]
        same_banks: dict[bytes, Changes] = {}
        for bank in verdict.banks:
            data = bytes(bank.fip.data)
            root_hash = bank.verdict.keys[Key.MRK]
            changes = same_banks.setdefault(data, Changes(data, root_hash))
            self._banks[bank.entry.name] = (bank.entry.offset, changes)

    def twin(self, region: DiskRegion) -> str:
        """Return the name of the region that has the same bytes, or its own."""
        if region.kind is CheckedBy.FIRMWARE:
            same = self._banks[region.partition][1]
            first = next(name for name, (_, each) in self._banks.items() if each is same)
            return region.name.replace(region.partition, first, 1)
        if region.kind is not CheckedBy.FIT:
            return region.name
        return region.name.replace(region.partition, self._fits[region.partition].name, 1)

    def refuses(self, region: DiskRegion, offset: int, bit: int) -> bool:
        """Say whether the disk is refused with one bit inverted."""
        disk = Flipped(self._disk, offset, bit)
        match region.kind:
            case CheckedBy.FIT:
                fit = self._fit(region)
                return self._fits[region.partition].refuses(offset - fit.entry.offset, bit)
            case CheckedBy.FIRMWARE:
                start, changes = self._banks[region.partition]
                return changes.refuses(offset - start, bit)
            case CheckedBy.VERITY:
                return not self._holds(disk, region, offset)
            case CheckedBy.ZEROS:
                return disk.read(offset, 1) != b"\0"
            case _:
                found = self._findings(disk, region)
                return any(each.severity is Severity.ERROR for each in found)

    def _findings(self, disk: Flipped, region: DiskRegion) -> Iterable[Finding]:
        """Return what is found about a region of a changed disk."""
        chain = self._verdict.chain
        match region.kind:
            case CheckedBy.TABLE:
                found = read_tables(disk, self._disk.size)
                return partitions.check(found, self._target.partitions, self._target.disk_guid)
            case CheckedBy.STATE:
                entry = self._verdict.table.entry(region.partition)
                return () if entry is None else state.check(disk, entry)
            case CheckedBy.CHOICE:
                return firmware.check_choice(disk, self._verdict.table)
            case CheckedBy.POLICY:
                return check_policy(disk, self._target, self._fit(region), chain.predictions)
            case CheckedBy.SUPERBLOCK:
                root = next(r for r in chain.roots if r.hashes == region.start)
                return boot_chain.check_superblock(disk, root)
            case _:
                return ()

    def _fit(self, region: DiskRegion) -> SlotFit:
        return next(f for f in self._verdict.chain.fits if f.entry.name == region.partition)

    def _holds(self, disk: Flipped, region: DiskRegion, offset: int) -> bool:
        """Say whether the block at an offset still leads to the root hash."""
        for root in self._verdict.chain.roots:
            for level, layer in enumerate(root.layers()):
                if layer.start <= offset < layer.start + layer.blocks * BLOCK:
                    return hash_tree.holds(disk, root, level, (offset - layer.start) // BLOCK)
        raise AssertionError(f"{region.name} at {offset:#x} is in no tree")


class _FitCheck:
    """Checks changes of one FIT; digests of payloads that do not change are computed once."""

    def __init__(self, disk: Disk, verdict: DiskVerdict, fit: SlotFit) -> None:
        self.name = fit.entry.name
        self._view = disk.view(fit.entry.offset, len(fit.data), private=True)
        self._trust = verdict.chain.trust
        self._strictness = fit.strictness
        self._cache = PayloadCache()
        self._known: dict[tuple[int, int], bool] = {}
        self._check(self._cache)

    def refuses(self, offset: int, bit: int) -> bool:
        """Say whether the FIT is refused with one bit inverted."""
        key = (offset, bit)
        if key not in self._known:
            self._view[offset] ^= 1 << bit
            try:
                self._known[key] = self._refuses(offset)
            finally:
                self._view[offset] ^= 1 << bit
        return self._known[key]

    def _refuses(self, offset: int) -> bool:
        try:
            return bool(self._check(self._cache.without([offset], digests_only=True)).errors)
        except FormatError:
            return True

    def _check(self, cache: PayloadCache) -> FitVerdict:
        fit = self._strictness.parse(self._view)
        return check_fit(fit, self._trust, strictness=self._strictness, cache=cache)
