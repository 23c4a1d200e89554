# SPDX-License-Identifier: MIT
"""The catalogue: what is done to a device, and how exactly it must end.

docs/attacks.md is made from it. Where the device must refuse, the attack is in both slots and ends
in the named power-off within seconds; where it must survive, the attack is in slot a alone and ends
when the system reports that it runs from slot b.
"""

from __future__ import annotations

from typing import Final

from bootseal.boot.catalogue.app import APPLICATIONS
from bootseal.boot.catalogue.bench import after
from bootseal.boot.catalogue.commands import COMMANDS
from bootseal.boot.catalogue.data import DATA
from bootseal.boot.catalogue.firmware import FIRMWARE
from bootseal.boot.catalogue.fit import FIT
from bootseal.boot.catalogue.identity import IDENTITY
from bootseal.boot.catalogue.jobs import JOBS
from bootseal.boot.catalogue.power import RESETS, power_cuts
from bootseal.boot.catalogue.product import PRODUCT
from bootseal.boot.catalogue.root import ROOT
from bootseal.boot.catalogue.state import STATE
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.catalogue.update import UPDATES
from bootseal.boot.scenario.model import Scenario
from bootseal.boot.scenario.runner import FIRST_BOOT

SEED: Final = 20261122
"""Decides when the power is cut; change it to try other moments."""

_BOOT: Final = (
    FIRST_BOOT,
    Scenario(
        id="second-boot",
        title="Second boot",
        group="boot",
        about="The data partition of the first boot is found and opened, not made again. Its "
        "recovery key, decrypted with the escrow key, opens it and a wrong one does not. No other "
        "key is handed out.",
        steps=(
            came_up(
                *("slot-tried:a", "config-signed", "root-verified:a"),
                check=after.nothing_more_handed_out,
            ),
        ),
    ),
)


SCENARIOS: Final = (
    *(*_BOOT, *FIRMWARE, *FIT, *ROOT, *STATE, *COMMANDS, *DATA, *PRODUCT, *IDENTITY),
    *(*UPDATES, *JOBS, *APPLICATIONS, *RESETS, *power_cuts(SEED)),
)
"""Every scenario, in the order of the report."""
