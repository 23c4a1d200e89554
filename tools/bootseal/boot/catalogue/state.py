# SPDX-License-Identifier: MIT
"""Scenarios about the slot state, and everything else that could set a variable of U-Boot."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Final

from bootseal.boot.attacks import state as state_attacks
from bootseal.boot.catalogue.bench import after
from bootseal.boot.catalogue.steps import came_up, reached_kernel, refused, up, while_typing
from bootseal.boot.scenario.model import Scenario

_scenario: Final = partial(Scenario, group="settings")

STATE: Final = (
    _scenario(
        id="state-noise",
        title="Both copies of the slot state filled with random bytes",
        about="No checksum matches, so U-Boot uses its defaults and boots as usual.",
        prepare=state_attacks.noise,
        steps=(came_up("state-default", "slot-tried:a", "root-verified:a"),),
    ),
    _scenario(
        id="state-torn",
        title="Write of the slot state cut short",
        about="The first copy has no valid checksum, and the second has slot b first: slot b is "
        "tried, and U-Boot leaves two good copies with one attempt less. Settings added to the "
        "second copy are neither imported nor kept.",
        prepare=state_attacks.torn,
        steps=(
            dataclasses.replace(
                reached_kernel(
                    "state-copy", "slot-tried:b", forbidden=("slot-tried:a", "state-not-saved")
                ),
                check=after.slot_state_is("B A", a=3, b=2),
            ),
        ),
    ),
    _scenario(
        id="state-smuggled",
        title="Extra variables in a valid slot state",
        about="bootcmd, bootargs, verify=no and even the boot logic's own variables, with a valid "
        "checksum. U-Boot imports only three variables; bootargs is measured, so the data "
        "would stay closed if it were imported.",
        prepare=state_attacks.smuggle,
        steps=(up(),),
    ),
    _scenario(
        id="state-injected",
        title="Shell commands in the three imported variables",
        about="The boot logic compares them as text and never runs them. An unsigned FIT is in "
        "place, in case it does.",
        base="shipped",
        prepare=state_attacks.inject,
        steps=(refused("no-signature", "signature-refused"),),
    ),
    _scenario(
        id="settings-everywhere",
        title="Settings offered in every writable place",
        about="verify=no, bootcmd, fdtcontroladdr and more in the slot state, the second flash, "
        "the gap in front of the first partition, QEMU's device tree (/config, and no keys) and "
        "QEMU's firmware configuration. An unsigned FIT is in place, in case any of it is used.",
        base="shipped",
        prepare=state_attacks.offer_everywhere,
        steps=(refused("no-signature", "signature-refused"),),
    ),
    _scenario(
        id="keys-pressed",
        title="Keys pressed throughout U-Boot",
        about="Ten times a second from power-on, for eight seconds. The boot cannot be stopped at "
        "any moment.",
        steps=(while_typing(" \r", when="power-on"),),
    ),
    _scenario(
        id="ctrl-c-pressed",
        title="Ctrl-C during loading and verification",
        about="The boot command cannot be interrupted, and would end in a power-off if it could.",
        steps=(while_typing("\x03", when="slot-tried:a"),),
    ),
)
