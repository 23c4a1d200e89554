# SPDX-License-Identifier: MIT
"""The whole check of a disk: layout, chain of trust, U-Boot, and what the partitions hold."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.check import boot_chain as chain
from bootseal.check import firmware, partitions, slot_state, uboot, unallocated
from bootseal.check.expected import BOOTSTATE, DATA, Expected
from bootseal.disk import bmap
from bootseal.disk.partitions import Table
from bootseal.disk.partitions import read as read_tables
from bootseal.errors import FormatError, UsageError
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, errors
from bootseal.keys.public import PublicKey, from_pem
from bootseal.measure.pcr_policy import covered

if TYPE_CHECKING:
    from bootseal.check.boot_chain import Chain
    from bootseal.check.firmware import Bank
    from bootseal.check.rootfs.allowlist import Allowlist
    from bootseal.check.unallocated import Gap
    from bootseal.disk.image import Disk
    from bootseal.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskVerdict:
    """What was found about a disk.

    Attributes:
        findings: Everything, the layout first.
        table: Its partition tables.
        chain: What the chain of trust leads to.
        gaps: What belongs to nothing.
        areas: What is declared besides the slots.
        banks: The boot loaders that its boot ROM starts; none for a device without one.
    """

    findings: tuple[Finding, ...]
    table: Table
    chain: Chain
    gaps: tuple[Gap, ...]
    areas: tuple[Gap, ...] = ()
    banks: tuple[Bank, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that refuse the disk."""
        return errors(self.findings)

    def summary(self, *, inside: bool) -> str:
        """Return what was checked of an accepted disk, and what was not.

        Args:
            inside: Whether the file systems were looked at.
        """
        roots = " and ".join(root.name for root in self.chain.roots)
        checked = [
            "the partitions are as declared",
            (
                "the chain of trust leads from U-Boot's keys through FITs and command lines to "
                f"every block of {roots}"
            ),
        ]
        unchecked = ["what U-Boot itself is made of", "what programs do when they run"]
        if self.banks:
            banks = " and ".join(bank.entry.name for bank in self.banks if not bank.brought)
            checked.insert(
                1, f"every byte of {banks} is as the key in the boot ROM requires, with this U-Boot"
            )
        if any(each.id == "disk.policy-unchecked" for each in self.findings):
            unchecked.insert(0, "the PCR policies")
        else:
            checked.append("the PCR policies are signed for these FITs")
        if inside:
            checked.append(
                "nothing that docs/disk.md lists makes the roots start unsigned programs or open "
                "shells or unsigned logins"
            )
        else:
            unchecked.insert(0, "the contents of the file systems")
        if any(each.id == "disk.data-provisioned" for each in self.findings):
            checked.append("the LUKS2 header of data is one that the device makes")
        if self.table.entry(DATA) is not None:
            unchecked.append("what is encrypted in data" if inside else "data and its LUKS2 header")
        if not self.banks:
            unchecked.append("boot loader: not verified here, assumed to be immutable")
        return f"Checked: {'; '.join(checked)}. Not checked: {'; '.join(unchecked)}."


def check(
    disk: Disk,
    target: Expected,
    progress: Progress,
    *,
    inside: bool = True,
    allowlist: Allowlist | None = None,
) -> DiskVerdict:
    """Check a disk.

    Args:
        disk: The disk.
        target: What it is checked against.
        progress: Told about the long steps.
        inside: Also look at what the file systems hold.
        allowlist: What they may hold; None allows what is usual.
    """
    tables = read_tables(disk, disk.size)
    findings = list(partitions.check(tables, target.partitions, target.disk_guid))
    # What leaves the disk was refused above, and cannot be looked at.
    inner = tuple(entry for entry in tables.entries if entry.end <= disk.size)
    tables = dataclasses.replace(tables, entries=inner)
    findings += bmap.check(disk, target.image)
    entry = tables.entry(BOOTSTATE)
    if entry is not None:
        findings += slot_state.check(disk, entry)
    findings += uboot.check(target)
    found, banks = firmware.check(disk, target, tables)
    findings += found
    if inside and target.policy_key is None:
        with progress.step("the policy key in the root"):
            key, found = policy_key(disk, target, tables)
        target = dataclasses.replace(target, policy_key=key)
        findings += found
    links = chain.check(disk, target, tables, progress, banks)
    findings += links.findings
    areas = unallocated.areas(disk, tables, target) if tables.copies else []
    gaps = unallocated.gaps(disk, tables, links, areas, banks)
    if tables.copies:
        with progress.step("unallocated space"):
            findings += unallocated.check(disk, gaps)
            findings += unallocated.check_areas(disk, areas, target)
    if inside:
        from bootseal.check import contents  # noqa: PLC0415 - slow to load

        with progress.step("contents of the partitions"):
            pcrs = {covered(each) for slot in links.predictions.values() for each in slot}
            findings += contents.check(disk, target, tables.entries, allowlist, pcrs=pcrs)
    return DiskVerdict(
        findings=tuple(findings),
        table=tables,
        chain=links,
        gaps=tuple(gaps),
        areas=tuple(areas),
        banks=banks,
    )


def policy_key(
    disk: Disk, target: Expected, tables: Table
) -> tuple[PublicKey | None, list[Finding]]:
    """Return the policy key that a root holds, which the device enrols its data with.

    The hash tree covers it: where that does not hold, the disk is refused, whatever the key says.

    Args:
        disk: The disk.
        target: Knows the slots.
        tables: Its partitions.

    Returns:
        The key, None where no root holds one that can be read; and a finding that names it.
    """
    from bootseal.check.rootfs import check as rootfs  # noqa: PLC0415 - slow to load

    for slot in target.slots:
        entry = tables.entry(slot.root)
        if entry is None:
            continue
        try:
            pem = rootfs.policy_key(disk, entry)
            key = None if pem is None else from_pem(pem)
        except (FormatError, UsageError):
            continue
        if key is None:
            continue
        message = f"the PCR policy is checked with the key in {entry.name}: {key.fingerprint()}"
        return key, [finding("disk.policy-key", entry.name, message)]
    return None, []
