# SPDX-License-Identifier: MIT
"""Scenarios about the slot state, and everything else that could set a variable of U-Boot."""

from __future__ import annotations

from typing import Final

from bootseal.boot.attacks import state as state_attacks
from bootseal.boot.catalogue.steps import refused, up, while_typing
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Expectation, ExpectedStatus, Scenario, Step

STATE: Final = (
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
                    status=ExpectedStatus(created=False),
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
