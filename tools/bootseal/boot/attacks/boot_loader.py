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
from bootseal.boot.attacks.state import BOOTSTATE
from bootseal.errors import FormatError, VerificationRefused
from bootseal.firmware import banks, places
from bootseal.formats import bank_choice, fip
from bootseal.formats.uboot import binary as uboot

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.formats.fip import Fip
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


def brought(workspace: Workspace) -> None:
    """Have both releases bring it, named by the policy of both slots as the first one is."""
    content = other(workspace)
    attacks.bring(workspace, content)
    both = (_predictions(workspace, each) for each in (attacks.original(workspace), content))
    approval.approve(workspace, [each for found in both for each in found.values()])


def crashing_brought(workspace: Workspace) -> None:
    """Have both releases bring one that the maker signed, and that resets the machine at once."""
    signers = places.signers(workspace.keys)
    counter = 1 if workspace.device.firmware is None else workspace.device.firmware.counter
    crashing = attacks.signed(
        attacks.original(workspace), {"nt-fw": attacks.RESET}, signers, counter
    )
    attacks.bring(workspace, crashing)


def expect_other(workspace: Workspace) -> None:
    """Expect the measurements of the other boot loader from now on."""
    approval.expect(workspace, _predictions(workspace, other(workspace)))


def banks_are_other(workspace: Workspace) -> None:
    """Look whether the other boot loader is in both banks, and bank b is chosen.

    Raises:
        VerificationRefused: It is not.
    """
    _look(workspace, fip.parse(other(workspace)), 1)


def banks_are_first(workspace: Workspace) -> None:
    """Look whether both banks hold what the device was built with, and bank a is chosen.

    Raises:
        VerificationRefused: One does not.
    """
    _look(workspace, fip.parse(attacks.original(workspace)), 0)


def _look(workspace: Workspace, wanted: Fip, bank: int) -> None:
    for name in banks.NAMES:
        size = workspace.disk.size(name)
        content = workspace.disk.read(name, 0, size)
        try:
            found = fip.parse(content[: fip.size(content)])
        except FormatError as error:
            raise VerificationRefused(f"{name}: {error.message}") from error
        # Signatures may have random salts; the images are the same.
        if any(found.image(image) != wanted.image(image) for image in banks.IMAGES.values()):
            raise VerificationRefused(f"{name} does not hold the boot loaders that are expected")
    block = workspace.disk.read(BOOTSTATE, bank_choice.PLACE, bank_choice.SIZE)
    choice = bank_choice.parse(block)
    if (choice.bank, choice.phase, len(choice.left)) != (bank, bank_choice.Phase.SETTLED, 1):
        raise VerificationRefused(
            f"the block chooses bank {choice.bank}, phase {choice.phase}, and {len(choice.left)} "
            f"were left behind: expected bank {bank}, settled, and one"
        )


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
