# SPDX-License-Identifier: MIT
"""What the partitions hold, beyond being signed: the root file systems and the data partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.disk.source import Disk
    from bootseal.disk.target import Target
    from bootseal.events import Finding
    from bootseal.formats.gpt import Entry


def check(disk: Disk, target: Target, entries: tuple[Entry, ...]) -> Iterator[Finding]:
    """Yield what is wrong with what the partitions of a disk hold.

    Args:
        disk: The disk.
        target: What it is judged against.
        entries: Its partitions.
    """
    del disk, target, entries
    yield from ()
