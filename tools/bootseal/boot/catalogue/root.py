# SPDX-License-Identifier: MIT
"""Scenarios about the root file system and its hash tree."""

from __future__ import annotations

from functools import partial
from typing import Final

from bootseal.boot.attacks import root as root_attacks
from bootseal.boot.catalogue.steps import never_up, up_from_b
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Expectation, Scenario, Step

_scenario: Final = partial(Scenario, group="root")

ROOT: Final = (
    _scenario(
        id="root-flipped",
        title="One bit flipped in the superblock of slot a's root",
        about="dm-verity restarts the device at the first read, three times; then slot b starts. "
        "Nothing from slot a's root runs.",
        prepare=root_attacks.flip("root", root_attacks.SUPERBLOCK),
        steps=(up_from_b("verity-corruption:data", "verity-restart"),),
    ),
    _scenario(
        id="root-scattered",
        title="Bits flipped all over slot a's root",
        about="The bits are in 24 blocks that are not read before the system runs. dm-verity "
        "checks each block when it is read, and restarts the device.",
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
    _scenario(
        id="tree-flipped",
        title="One bit flipped in the top block of slot a's hash tree",
        about="The top block no longer hashes to the signed root hash, and dm-verity restarts the "
        "device before anything from the root runs.",
        base="shipped",
        prepare=root_attacks.flip("verity", root_attacks.TOP_LEVEL),
        steps=(never_up("metadata"),),
    ),
    _scenario(
        id="root-swapped",
        title="Root and hash tree of slot a replaced by another matching pair",
        about="A valid file system and its tree, of the same size, salt and geometry, but with "
        "another root hash than the signed one.",
        base="shipped",
        prepare=root_attacks.swap,
        steps=(never_up("metadata"),),
    ),
)
