# SPDX-License-Identifier: MIT
"""The catalogue: what is done to a device, and the exact end it has to come to.

docs/attacks.md is this table for people. A scenario that must be refused has the attack in both
slots and ends in the named power-off within seconds; one that must be survived has it in slot a
alone and ends when the system says that it runs from slot b.
"""

from __future__ import annotations

from typing import Final

from bootseal.boot.attacks import root as root_attacks
from bootseal.boot.attacks import state as state_attacks
from bootseal.boot.attacks import tpm_bus
from bootseal.boot.catalogue import after
from bootseal.boot.catalogue.commands import COMMANDS
from bootseal.boot.catalogue.data import DATA
from bootseal.boot.catalogue.fit import FIT, FLIPS
from bootseal.boot.catalogue.power import RESETS, power_cuts
from bootseal.boot.catalogue.steps import never_up, refused, up, up_from_b, while_typing
from bootseal.boot.catalogue.update import UPDATES
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Expectation, Scenario, Step, System

SEED: Final = 20261122
"""Decides when the power is cut; change it to try other moments."""

_BOOT: Final = (
    Scenario(
        id="first-boot",
        title="First boot",
        group="boot",
        about="The shipped disk comes up from slot a, read-only on dm-verity, and makes the data "
        "partition, sealed to this TPM. The recovery key leaves it once, encrypted to the "
        "vendor's escrow certificate.",
        base="shipped",
        prepare=tpm_bus.record,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.UP,
                    console=(
                        "config-signed",
                        "kernel-handover",
                        "root-verified:a",
                        "recovery-handed-out",
                        "data-opened",
                    ),
                    system=System(created=True),
                )
            ),
        ),
    ),
    Scenario(
        id="second-boot",
        title="Second boot",
        group="boot",
        about="The data partition of the first boot is found and opened, not made anew. Its "
        "recovery key, decrypted with the vendor's escrow key, opens it; no other is handed out.",
        steps=(Step(expect=up("config-signed").expect, check=after.nothing_more_handed_out),),
    ),
)

_ROOT: Final = (
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

_STATE: Final = (
    Scenario(
        id="state-noise",
        title="Slot state filled with random bytes",
        group="settings",
        about="The checksum does not fit: defaults are used.",
        prepare=state_attacks.noise,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.UP,
                    console=("state-default", "slot-tried:a", "root-verified:a"),
                    system=System(created=False),
                )
            ),
        ),
    ),
    Scenario(
        id="state-smuggled",
        title="Settings smuggled into the slot state",
        group="settings",
        about="With a valid checksum; only three variables are imported, and bootargs is measured, "
        "so data would stay closed.",
        prepare=state_attacks.smuggle,
        steps=(up(),),
    ),
    Scenario(
        id="state-injected",
        title="Shell commands in the three imported variables",
        group="settings",
        about="They are compared as text and never run; an unsigned FIT waits for the mistake.",
        base="shipped",
        prepare=state_attacks.inject,
        steps=(refused("no-signature", "signature-refused"),),
    ),
    Scenario(
        id="settings-everywhere",
        title="Settings offered in every writable place",
        group="settings",
        about="verify=no, bootcmd, fdtcontroladdr in slot state, second flash, disk gap, QEMU's "
        "device tree and firmware configuration; an unsigned FIT waits for any of them.",
        base="shipped",
        prepare=state_attacks.offer_everywhere,
        steps=(refused("no-signature", "signature-refused"),),
    ),
    Scenario(
        id="keys-pressed",
        title="Keys pressed all through U-Boot",
        group="settings",
        about="There is no moment at which the boot can be stopped.",
        steps=(while_typing(" \r", when="power-on"),),
    ),
    Scenario(
        id="ctrl-c-pressed",
        title="Ctrl-C during load and verification",
        group="settings",
        about="The boot command cannot be interrupted, and would end in power-off if it could.",
        steps=(while_typing("\x03", when="slot-tried:a"),),
    ),
)


def catalogue(seed: int = SEED) -> tuple[Scenario, ...]:
    """Return all scenarios; the seed decides when the power is cut."""
    boots = (*_BOOT, *FLIPS, *FIT, *_ROOT, *_STATE, *COMMANDS, *DATA)
    return (*boots, *UPDATES, *RESETS, *power_cuts(seed))


SCENARIOS: Final = catalogue()
