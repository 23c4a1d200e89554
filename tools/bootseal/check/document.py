# SPDX-License-Identifier: MIT
"""A judgement as a document, for programs and reports (schema `bootseal.disk-verdict/2`)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import bootseal
from bootseal.check.coverage import State, regions

if TYPE_CHECKING:
    from bootseal.check.disk import Judgement
    from bootseal.check.expected import Target
    from bootseal.disk.image import Disk

SCHEMA: Final = "bootseal.disk-verdict/2"


def verdict(disk: Disk, target: Target, judged: Judgement) -> dict[str, object]:
    """Return a judgement as a document; sizes and offsets are in bytes.

    The `map` has every byte of the disk once, in its order.
    """
    parts = regions(disk, judged)
    return {
        "schema": SCHEMA,
        "accepted": not judged.errors,
        "tool": bootseal.__version__,
        "device": "" if target.device is None else target.device.name,
        "disk": {"name": disk.name.name, "size": disk.size},
        "findings": [dataclasses.asdict(each) for each in judged.findings],
        "partitions": [dataclasses.asdict(each) for each in judged.table.entries],
        "totals": {s.value: sum(p.size for p in parts if p.state is s) for s in State},
        "map": [dataclasses.asdict(each) for each in parts],
    }
