# SPDX-License-Identifier: MIT
"""Another boot loader of the maker's, and the data policies that name it or do not.

It is the device's own U-Boot with another time of its build: as good, and measured otherwise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bootseal.boot.attacks import approval
from bootseal.boot.attacks import firmware as attacks
from bootseal.boot.attacks import fit as fit_attacks
from bootseal.firmware import places
from bootseal.formats import fip
from bootseal.formats.uboot import binary as uboot

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.measure.predict import Prediction


def unapproved_in_a(workspace: Workspace) -> None:
    """Put the other boot loader into bank a; no data policy names it."""
    content = other(workspace)
    attacks.install(workspace, content, "a")
    approval.expect(workspace, _predictions(workspace, content))


def approved_in_b(workspace: Workspace) -> None:
    """Put it into bank b, named by the policy of both slots as the first one is; damage bank a."""
    content = other(workspace)
    attacks.install(workspace, content, "b")
    attacks.changed(attacks.inside("nt-fw"), "a")(workspace)
    old = _predictions(workspace, attacks.original(workspace))
    new = _predictions(workspace, content)
    approval.approve(workspace, [*old.values(), *new.values()])
    approval.expect(workspace, new)


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
    return approval.predictions(workspace, fit_attacks.original(workspace), content)
