# SPDX-License-Identifier: MIT
"""Another boot loader of the maker's, and the data policies that name it or do not.

It is the device's own U-Boot with another time of its build: as good, and measured otherwise.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from bootseal import documents
from bootseal.boot.attacks import firmware as attacks
from bootseal.boot.attacks import fit as fit_attacks
from bootseal.firmware import places
from bootseal.formats import boot_partition, fip
from bootseal.formats.fit import model as fit_format
from bootseal.formats.uboot import binary as uboot
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.measure import firmware, pcr_policy
from bootseal.measure.predict import Prediction, predict

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace


def unapproved_in_a(workspace: Workspace) -> None:
    """Put the other boot loader into bank a; no data policy names it."""
    content = other(workspace)
    attacks.install(workspace, content, "a")
    _expect(workspace, content)


def approved_in_b(workspace: Workspace) -> None:
    """Put it into bank b, named by the policy of both slots as the first one is; damage bank a."""
    content = other(workspace)
    attacks.install(workspace, content, "b")
    attacks.changed(attacks.inside("nt-fw"), "a")(workspace)
    found = [
        each
        for package in (attacks.original(workspace), content)
        for each in _predictions(workspace, package).values()
    ]
    signer = key_directory.signer(workspace.keys, Role.POLICY)
    tail = boot_partition.pad_policy(documents.dump(pcr_policy.sign(found, signer)))
    for slot in workspace.device.slots:
        room = boot_partition.room(workspace.disk.size(slot.boot))
        workspace.disk.write(slot.boot, room, tail)
    _expect(workspace, content)


def first_in_a(workspace: Workspace) -> None:
    """Put the boot loader that the device was built with into bank a."""
    attacks.install(workspace, attacks.original(workspace), "a")


def other(workspace: Workspace) -> bytes:
    """Return the FIP with the other U-Boot, of the same security version."""
    content = attacks.original(workspace)
    old = fip.parse(content).image("nt-fw") or b""
    version = uboot.version_string(old)
    seconds = re.sub(rb":(\d)\d ", rb":\g<1>0 ", version)
    if seconds == version:
        seconds = re.sub(rb":(\d)\d ", rb":\g<1>1 ", version)
    counter = 1 if workspace.device.firmware is None else workspace.device.firmware.counter
    signers = places.signers(workspace.keys)
    return attacks.signed(content, {"nt-fw": old.replace(version, seconds)}, signers, counter)


def _predictions(workspace: Workspace, content: bytes) -> dict[str, Prediction]:
    """Predict the boot of each slot, by its name, with a FIP."""
    images = firmware.images(fip.parse(content))
    version, before = uboot.version_string(images["bios"]), firmware.events(images)
    fit = fit_format.parse(fit_attacks.original(workspace))
    return {
        slot.name: predict(fit, slot.configuration, version=version, before=before)
        for slot in workspace.device.slots
    }


def _expect(workspace: Workspace, content: bytes) -> None:
    """Expect the measurements of a boot with a FIP."""
    found = _predictions(workspace, content)
    for slot in workspace.device.slots:
        predicted = found[slot.name]
        workspace.replace_slot(
            dataclasses.replace(
                slot,
                pcrs={pcr: predicted.pcrs[int(pcr)].hex() for pcr in slot.pcrs},
                events=predicted.measurements,
            )
        )
