# SPDX-License-Identifier: MIT
"""What a device's maker approves, and the measurements that the device must then have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bootseal import documents
from bootseal.formats import boot_partition, fip
from bootseal.formats.fit import model as fit_format
from bootseal.formats.uboot import binary as uboot
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.measure import firmware, pcr_policy
from bootseal.measure.predict import Prediction, predict

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.measure.pcr_policy import PcrPolicy


def predictions(
    workspace: Workspace, fit: bytes, boot_loader: bytes | None = None
) -> dict[str, Prediction]:
    """Predict the boot of each slot, by its name.

    Args:
        workspace: The device.
        fit: What the slots hold.
        boot_loader: The FIP that starts it; None is the boot loader that the device was built with.
    """
    if boot_loader is None:
        bios = workspace.device.artefact(workspace.directory, "bios").read_bytes()
        before = firmware.of_device(workspace.device, workspace.directory)
    else:
        images = firmware.images(fip.parse(boot_loader))
        bios, before = images["bios"], firmware.events(images)
    model, version = fit_format.parse(fit), uboot.version_string(bios)
    return {
        slot.name: predict(model, slot.configuration, version=version, before=before)
        for slot in workspace.device.slots
    }


def approve(workspace: Workspace, approved: Iterable[Prediction]) -> None:
    """Sign the policy of these boots with the maker's key, for both slots."""
    signer = key_directory.signer(workspace.keys, Role.POLICY)
    policy = pcr_policy.sign(approved, signer)
    for slot in workspace.device.slots:
        write_policy(workspace, slot.boot, policy)


def write_policy(workspace: Workspace, partition: str, policy: PcrPolicy) -> None:
    """Put a policy into the tail of a boot partition."""
    room = boot_partition.room(workspace.disk.size(partition))
    tail = boot_partition.pad_policy(documents.dump(policy))
    workspace.disk.write(partition, room, tail)


def expect(workspace: Workspace, found: Mapping[str, Prediction]) -> None:
    """Expect these measurements of the slots that they name."""
    for slot in workspace.device.slots:
        if slot.name in found:
            predicted = found[slot.name]
            pcrs = {pcr: predicted.pcrs[int(pcr)].hex() for pcr in slot.pcrs}
            workspace.replace_slot(
                dataclasses.replace(slot, pcrs=pcrs, events=predicted.measurements)
            )
