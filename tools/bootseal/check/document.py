# SPDX-License-Identifier: MIT
"""The verdict on a disk with the map of its bytes, for reports and programs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import bootseal
from bootseal.check.coverage import DiskRegion, regions
from bootseal.findings.model import Finding, errors
from bootseal.protection import State

if TYPE_CHECKING:
    from bootseal.check.disk import DiskVerdict
    from bootseal.check.expected import Expected
    from bootseal.disk.image import Disk
    from bootseal.formats.gpt import GptEntry

SCHEMA: Final = "bootseal.disk-verdict/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskReport:
    """What was found about a disk, and what protects each byte of it.

    Attributes:
        device: Name of the device it is for; empty when no build directory says.
        name: File name of the image.
        size: Size of the disk in bytes.
        findings: Everything that was found.
        partitions: The partitions, in the order of the disk.
        map: Every byte of the disk once, in its order.
    """

    device: str
    name: str
    size: int
    findings: tuple[Finding, ...]
    partitions: tuple[GptEntry, ...]
    map: tuple[DiskRegion, ...]

    @property
    def accepted(self) -> bool:
        """Whether there is no error."""
        return not errors(self.findings)

    def total(self, state: State) -> int:
        """Return how many bytes of the disk are protected in some way."""
        return sum(region.size for region in self.map if region.state is state)

    def document(self) -> dict[str, object]:
        """Return the JSON document (schema `bootseal.disk-verdict/2`); sizes are in bytes."""
        return {
            "schema": SCHEMA,
            "accepted": self.accepted,
            "tool": bootseal.__version__,
            "device": self.device,
            "disk": {"name": self.name, "size": self.size},
            "findings": [dataclasses.asdict(each) for each in self.findings],
            "partitions": [dataclasses.asdict(each) for each in self.partitions],
            "totals": {state.value: self.total(state) for state in State},
            "map": [dataclasses.asdict(each) for each in self.map],
        }


def report(disk: Disk, target: Expected, verdict: DiskVerdict) -> DiskReport:
    """Assemble the contents of reports about a disk.

    Args:
        disk: The disk.
        target: What it was checked against.
        verdict: What was found.
    """
    return DiskReport(
        device="" if target.device is None else target.device.name,
        name=disk.name.name,
        size=disk.size,
        findings=verdict.findings,
        partitions=verdict.table.entries,
        map=regions(disk, verdict),
    )
