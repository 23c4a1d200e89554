# SPDX-License-Identifier: MIT
"""What an update writes to a slot: the root, its hash tree and the boot partition of a disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.check import slot_fit
from bootseal.disk import partitions
from bootseal.errors import FormatError, UsageError
from bootseal.formats.verity import BLOCK
from bootseal.measure.predict import predict
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.check.expected import Expected
    from bootseal.device import Partition
    from bootseal.disk.image import Disk

ROOT, VERITY, BOOT = "root", "verity", "boot"
SLOTS: Final = (ROOT, VERITY, BOOT)
"""Classes of RAUC's slots in the order in which they are written: while the old boot partition is
there, root and boot of a slot do not fit together, and the slot does not start."""
FILES: Final = {slot: f"{slot}.img" for slot in SLOTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """An image on a disk: where it begins, and its size in bytes."""

    slot: str
    offset: int
    size: int

    def chunks(self, disk: Disk) -> Iterator[bytes]:
        """Yield its bytes."""
        for start in range(self.offset, self.offset + self.size, MIB):
            yield disk.read(start, min(MIB, self.offset + self.size - start))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a disk starts.

    Attributes:
        pieces: Its images, in the order in which they are written.
        rollback_index: Security version of the system.
    """

    pieces: tuple[Piece, ...]
    rollback_index: int


def require_slots(target: Expected) -> None:
    """Refuse a device that has no slots: nothing of a release would be looked at.

    Raises:
        UsageError: It has none.
    """
    if not target.slots:
        raise UsageError(
            f"{target.image} is of a device without slots, which cannot be updated",
            hint="give the build directory of a device with slots",
        )


def of_disk(disk: Disk, target: Expected) -> Release:
    """Return what the first slot of a disk starts, which is for all of its slots.

    Args:
        disk: The disk.
        target: Knows the slots.

    Raises:
        UsageError: The device has no slots.
        FormatError: A partition is missing, or what is in it is malformed.
    """
    require_slots(target)
    slot = target.slots[0]
    table = partitions.read(disk, disk.size)

    def entry(name: str) -> Partition:
        found = table.entry(name)
        if found is None:
            raise FormatError(f"{target.image} has no partition {name!r}")
        return found

    boot = entry(slot.boot)
    fit = slot_fit.find(disk, slot, boot, target.memory)
    opens = slot_fit.opens(fit)
    root, verity = entry(slot.root), entry(slot.verity)
    pieces = (
        Piece(slot=ROOT, offset=root.offset, size=opens.blocks * BLOCK),
        Piece(slot=VERITY, offset=verity.offset, size=opens.end),
        Piece(slot=BOOT, offset=boot.offset, size=boot.size),
    )
    for piece, place in zip(pieces, (root, verity, boot), strict=True):
        if piece.size > place.size:
            raise FormatError(f"{place.name} has {place.size} bytes: its FIT opens {piece.size}")
    index = predict(fit.strict, slot.configuration).rollback_index
    return Release(pieces=pieces, rollback_index=index)
