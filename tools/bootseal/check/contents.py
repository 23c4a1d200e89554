# SPDX-License-Identifier: MIT
"""What the partitions hold, beyond being signed: the root file systems and the data partition."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from bootseal.check.data import check as data_partition
from bootseal.check.expected import DATA, Expected
from bootseal.check.rootfs import check as rootfs
from bootseal.check.rootfs.allowlist import Allowlist
from bootseal.measure.pcr_policy import PCRS
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.device import Partition
    from bootseal.disk.image import Disk
    from bootseal.findings.model import Finding

_DEVELOPMENT: Final = "dev"
_PRODUCTION: Final = "production"


def check(
    disk: Disk,
    target: Expected,
    entries: tuple[Partition, ...],
    allowlist: Allowlist | None = None,
    *,
    pcrs: Collection[tuple[int, ...]] = (PCRS,),
) -> Iterator[Finding]:
    """Yield what is wrong with what the partitions of a disk hold.

    Args:
        disk: The disk.
        target: What it is checked against.
        entries: Its partitions.
        allowlist: What root file systems may hold.
        pcrs: What the data policies of the releases are over.

    Raises:
        ToolError: The program that reads a file system is not installed.
    """
    roots = {slot.root for slot in target.slots}
    # Nothing says what an image on its own is for: it is taken for one that ships.
    device = target.device
    production = device is None or device.profile == _PRODUCTION or not device.login
    seen: set[bytes] = set()
    for entry in entries:
        if entry.name in roots:
            content = digest(disk, entry)
            if content not in seen:
                seen.add(content)
                yield from rootfs.check(
                    disk,
                    entry,
                    allowlist or Allowlist(),
                    production=production,
                    development=device is not None and device.profile == _DEVELOPMENT,
                    app_keys=target.app_keys,
                )
        elif entry.name == DATA:
            declared = any(partition.name == DATA for partition in target.partitions)
            yield from data_partition.check(
                disk, entry, target.policy_key, pcrs=pcrs, declared=declared
            )


def digest(disk: Disk, entry: Partition) -> bytes:
    """Return what tells one partition's content from another's: where it is written, and what."""
    found = hashlib.sha256(entry.size.to_bytes(8))
    for start, end in disk.data(entry.offset, entry.end):
        found.update((start - entry.offset).to_bytes(8) + (end - start).to_bytes(8))
        for offset in range(start, end, MIB):
            found.update(disk.read(offset, min(MIB, end - offset)))
    return found.digest()
