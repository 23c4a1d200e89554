# SPDX-License-Identifier: MIT
"""What statements say of a device: from its description, and the rollback index from its FIT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.evidence.statement import Facts, FirmwareFacts, SlotFacts
from bootseal.measure import inputs

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.device import Device


def of_device(device: Device, directory: Path) -> Facts:
    """Return the facts of a built device.

    Args:
        device: Its description.
        directory: Holds the FIT.

    Raises:
        UsageError: There is no FIT.
        FormatError: The FIT is malformed, or lacks the configuration of a slot.
    """
    built = device.firmware
    firmware = (
        None if built is None else FirmwareFacts(masterRootKey=built.mrk, counter=built.counter)
    )
    return Facts(
        epoch=device.epoch,
        firmware=firmware,
        keys=device.keys,
        login=device.login,
        rollbackIndex=_rollback_index(device, directory),
        slots={
            slot.name: SlotFacts(rootHash=slot.root_hash, pcrs=slot.pcrs) for slot in device.slots
        },
    )


def _rollback_index(device: Device, directory: Path) -> int | None:
    if not device.slots:
        return None
    source = inputs.load(device.artefact(directory, "fit"))
    found = inputs.predictions(source, [slot.configuration for slot in device.slots])
    return min(prediction.rollback_index for _, prediction in found)
