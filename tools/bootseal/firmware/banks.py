# SPDX-License-Identifier: MIT
"""The banks of a disk: their names, their contents, and the build's name for these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.formats import fip

if TYPE_CHECKING:
    from bootseal.disk.hash_tree import Readable

NAMES: Final = ("fw-a", "fw-b")
"""The partitions, in the order in which the boot ROM tries them. It knows their places alone."""
IMAGES: Final = {"bl2": "tb-fw", "bl31": "soc-fw", "bios": "nt-fw"}
"""fiptool's names of the images by the artefact roles of `device.json`, as they are started."""


def content(disk: Readable, offset: int, size: int) -> bytes:
    """Return the FIP at the start of a bank, as far as its table of contents says that it goes.

    Args:
        disk: The disk.
        offset: Bytes from the start of the disk to the bank.
        size: Bytes of the bank.

    Raises:
        FormatError: There is none, or it is larger than the bank.
    """
    head = disk.read(offset, min(size, fip.MAX_SIZE))
    found = fip.size(head)
    if found > size:
        raise FormatError(f"the FIP has {found} bytes: the bank has {size}")
    return head[:found]
