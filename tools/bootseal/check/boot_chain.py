# SPDX-License-Identifier: MIT
"""The chain of trust on a disk, for each slot: from U-Boot's key to every block of the root.

Control device tree, required key, FIT configuration, images, signed command line, hash tree, data;
next to it the PCR policy. What is on the disk and not led to by the chain must be zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.check import slot_fit
from bootseal.disk import hash_tree
from bootseal.disk.hash_tree import Root
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Severity
from bootseal.formats import verity
from bootseal.formats.verity import BLOCK
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bootseal.check.expected import Expected
    from bootseal.check.firmware import Bank
    from bootseal.check.slot_fit import SlotFit
    from bootseal.check.slot_policy import Predictions
    from bootseal.disk.hash_tree import Readable
    from bootseal.disk.image import Disk
    from bootseal.disk.partitions import Table
    from bootseal.findings.model import Finding
    from bootseal.fit.control_dtb import Trust
    from bootseal.progress import Progress

_LISTED: Final = 8
"""Bad blocks that get a finding each; the rest is counted."""
_UBOOT: Final = "U-Boot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What the chain of trust reaches.

    Attributes:
        findings: What is wrong with it.
        trust: The keys U-Boot holds.
        fits: The FITs, one for each slot that has one.
        roots: The roots that the signed command lines open.
        refused: Names of the slots whose FIT or command line is refused, so it leads nowhere.
        approved: Names of the slots with a good PCR policy.
        predictions: What each slot will measure, by its name.
    """

    findings: tuple[Finding, ...]
    trust: Trust
    fits: tuple[SlotFit, ...]
    roots: tuple[Root, ...]
    refused: frozenset[str]
    approved: frozenset[str]
    predictions: Predictions


def check(
    disk: Disk, target: Expected, table: Table, progress: Progress, banks: Sequence[Bank] = ()
) -> Chain:
    """Follow the chain of every slot.

    Args:
        disk: The disk.
        target: What it is checked against.
        table: Its partitions.
        progress: Told about the long steps.
        banks: The boot loaders that a boot ROM starts.
    """
    fits, malformed = _fits(disk, target, table)
    roots, about_roots = _roots(table, fits)
    # The roots are hashed while the FITs are checked: either says what is wrong in any case.
    with hash_tree.checking(disk, roots) as bad:
        from bootseal.check.slot_policy import check_policies  # noqa: PLC0415 - loaded meanwhile

        trust, findings = _trust(target)
        with progress.step("FITs, signatures and image hashes"):
            findings += malformed + _check_fits(fits, trust) + about_roots
        refused = {f.where.partition(":")[0] for f in findings if f.severity is Severity.ERROR}
        approved = set()
        about_policies, predictions = check_policies(disk, target, fits, banks)
        for slot, problems in about_policies.items():
            findings += problems
            if not any(f.severity is not Severity.INFO for f in problems):
                approved.add(slot)
        size = format_size(sum(root.tree.blocks * BLOCK for root in roots))
        with progress.step(f"every block of the roots ({size}) and their hash trees"):
            findings += _bad_blocks(bad)
    for root in roots:
        findings += check_superblock(disk, root)
    return Chain(
        findings=tuple(findings),
        trust=trust,
        fits=tuple(fits),
        roots=tuple(roots),
        refused=frozenset(f.slot.name for f in fits if {f.entry.name, _UBOOT} & refused),
        approved=frozenset(approved),
        predictions=predictions,
    )


def _trust(target: Expected) -> tuple[Trust, list[Finding]]:
    """Return the keys in U-Boot's control device tree, and what is wrong with them."""
    from bootseal.fit.control_dtb import Trust, read_trust  # noqa: PLC0415 - as above

    try:
        trust = read_trust(target.control)
    except FormatError as error:
        found = finding("disk.control", _UBOOT, error.message)
        return Trust(keys=(), any_suffices=False), [found]
    prints = [key.public_key.fingerprint() for key in trust.required("conf")]
    if not target.fit_key or target.fit_key in prints:
        return trust, []
    observed = ", ".join(prints) or "none"
    found = finding(
        "disk.control-key",
        _UBOOT,
        f"it requires {observed}: device.json names {target.fit_key}",
        expected=target.fit_key,
        observed=observed,
    )
    return trust, [found]


def _fits(disk: Disk, target: Expected, table: Table) -> tuple[list[SlotFit], list[Finding]]:
    """Return the FIT of every slot that has one, and what is wrong where there is none."""
    fits: list[SlotFit] = []
    findings: list[Finding] = []
    for slot in target.slots:
        entry = table.entry(slot.boot)
        if entry is None:
            continue
        try:
            fits.append(slot_fit.find(disk, slot, entry, target.memory, fits))
        except FormatError as error:
            findings.append(slot_fit.malformed(entry, error))
    return fits, findings


def _check_fits(fits: Sequence[SlotFit], trust: Trust) -> list[Finding]:
    """Check the FIT of every slot; one that is the same as another is not checked twice."""
    from bootseal.fit.verify.digest import PayloadCache  # noqa: PLC0415 - as above

    findings: list[Finding] = []
    known: list[tuple[SlotFit, list[Finding]]] = []
    for fit in fits:
        twin = next((each for each in known if each[0].data is fit.data), None)
        if twin is None:
            problems = slot_fit.check(fit, trust, PayloadCache())
            known.append((fit, problems))
        else:
            problems = slot_fit.relabel(twin[1], twin[0], fit)
        findings += problems
    return findings


def _roots(table: Table, fits: Iterable[SlotFit]) -> tuple[list[Root], list[Finding]]:
    """Return the root of every slot as its command line opens it."""
    roots: list[Root] = []
    findings: list[Finding] = []
    for fit in fits:
        slot = fit.slot
        findings += slot_fit.shells(fit)
        root, hashes = table.entry(slot.root), table.entry(slot.verity)
        if root is None or hashes is None:
            continue
        try:
            opened = slot_fit.opens(fit)
        except FormatError as error:
            findings.append(
                finding("disk.bootargs", fit.entry.name, error.message, offset=fit.entry.offset)
            )
            continue
        findings += _predicted(fit, opened.root_hash.hex())
        size = opened.blocks * BLOCK
        if size > root.size or opened.end > hashes.size:
            message = (
                f"the command line opens {size} bytes with a tree that ends at {opened.end}: the "
                f"partitions have {root.size} and {hashes.size}"
            )
            findings.append(finding("disk.root-size", slot.root, message, offset=root.offset))
            continue
        found = Root(name=slot.root, tree=opened, data=root.offset, hashes=hashes.offset)
        # In an update, slots share one root.
        roots += [] if found in roots else [found]
    return roots, findings


def _predicted(fit: SlotFit, root_hash: str) -> Iterator[Finding]:
    expected = fit.slot.root_hash
    if expected and root_hash != expected:
        yield finding(
            "disk.root-hash",
            fit.entry.name,
            f"the command line opens the root with {root_hash}: the build made {expected}",
            offset=fit.entry.offset,
            expected=expected,
            observed=root_hash,
        )


def _bad_blocks(bad: Iterable[hash_tree.Bad]) -> Iterator[Finding]:
    """Yield a finding for each of the first bad blocks of a root, and one for the others."""
    counts: dict[str, int] = {}
    for each in bad:
        counts[each.root] = counts.get(each.root, 0) + 1
        if counts[each.root] <= _LISTED:
            name = "disk.verity-data" if each.level == 0 else "disk.verity-tree"
            what = "data block" if each.level == 0 else f"block of level {each.level} of the tree"
            message = f"{what} {each.number} does not match the root hash"
            yield finding(name, each.root, message, offset=each.offset)
    for root, count in counts.items():
        if count > _LISTED:
            yield finding("disk.verity-more", root, f"{count - _LISTED} more blocks are bad")


def check_superblock(disk: Readable, root: Root) -> Iterator[Finding]:
    """Compare what is in front of the tree, which nothing reads, with the signed values."""
    try:
        found = verity.parse_superblock(disk.read(root.hashes, BLOCK))
    except FormatError as error:
        problem = error.message
    else:
        if (found.salt, found.blocks) == (root.tree.salt, root.tree.blocks):
            return
        problem = "salt or number of blocks are not those of the signed command line"
    yield finding(
        "disk.superblock",
        root.name,
        f"the superblock in front of the hash tree, which nothing reads: {problem}",
        offset=root.hashes,
    )
