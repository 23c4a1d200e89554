# SPDX-License-Identifier: MIT
"""Scenarios about the root file system and its hash tree."""

from __future__ import annotations

from typing import Final

from bootseal.boot.attacks import root as root_attacks
from bootseal.boot.catalogue.steps import never_up, up_from_b
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Expectation, Scenario, Step

ROOT: Final = (
    Scenario(
        id="root-flipped",
        title="One bit flipped in the root superblock of slot a",
        group="root",
        about="dm-verity restarts the device at the first read, three times; then slot b starts.",
        prepare=root_attacks.flip("root", root_attacks.SUPERBLOCK),
        steps=(up_from_b("verity-corruption:data", "verity-restart"),),
    ),
    Scenario(
        id="root-scattered",
        title="Bits flipped all over the root of slot a",
        group="root",
        about="Blocks that only the running system reads are checked too, when it reads them.",
        prepare=root_attacks.scatter,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.CONSOLE, console=("verity-corruption:data", "verity-restart")
                ),
                until="verity-restart",
            ),
        ),
    ),
    Scenario(
        id="tree-flipped",
        title="One bit flipped in the top of the hash tree of slot a",
        group="root",
        about="The top block does not hash to the signed root hash.",
        base="shipped",
        prepare=root_attacks.flip("verity", root_attacks.TOP_LEVEL),
        steps=(never_up("metadata"),),
    ),
    Scenario(
        id="root-swapped",
        title="Root and hash tree of slot a swapped for others that fit each other",
        group="root",
        about="A valid system of the same geometry and salt, but not the one whose root hash is "
        "signed.",
        base="shipped",
        prepare=root_attacks.swap,
        steps=(never_up("metadata"),),
    ),
)
