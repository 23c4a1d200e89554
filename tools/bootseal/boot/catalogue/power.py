# SPDX-License-Identifier: MIT
"""Scenarios about resets and lost power."""

from __future__ import annotations

import random
from typing import Final

from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import STATUS, Action, Do, Expectation, Scenario, Step

CUTS: Final = 6
_EARLY: Final = 2
_EARLY_WINDOW: Final = (0.3, 12.0)
_LATE_WINDOW: Final = (0.0, 20.0)
"""Seconds after the root is verified, in which the first boot makes the data partition."""

_GROUP: Final = "power"


def _twice(*actions: Action, seen: tuple[str, ...]) -> Step:
    """Come up, be reset by the actions, and come up again with data found and opened."""
    console = ("root-verified:a", *seen, "u-boot", "slot-tried:a", "root-verified:a")
    return came_up(*console, actions=actions)


RESETS: Final = (
    Scenario(
        id="warm-reset",
        title="Reboot from the root shell (development image)",
        group=_GROUP,
        about="After a warm reset the PCRs are as after a cold start and the data opens again: the "
        "event log left in memory is not replayed. Inconclusive on an image without a root "
        "shell.",
        steps=(_twice(Action(do=Do.TYPE, when="shell", text="reboot\r"), seen=("shell",)),),
    ),
    Scenario(
        id="panic-reset",
        title="Kernel panic from the root shell (development image)",
        group=_GROUP,
        about="A panic restarts the device immediately, and nothing it leaves behind keeps the "
        "data closed. Inconclusive on an image without a root shell.",
        steps=(
            _twice(
                Action(do=Do.TYPE, when="shell", text="echo c >/proc/sysrq-trigger\r"),
                seen=("shell", "panic"),
            ),
        ),
    ),
    Scenario(
        id="reset-button",
        title="Reset button pressed while the system runs",
        group=_GROUP,
        about="Like the warm reset but without the system's help, so this works on production "
        "images too.",
        steps=(_twice(Action(do=Do.RESET, when=STATUS), seen=()),),
    ),
)


def power_cuts(seed: int) -> tuple[Scenario, ...]:
    """Make one scenario per random moment at which the first boot loses its power.

    A few moments are in the boot loader, kernel and initramfs, most where the first boot writes.

    Args:
        seed: Fixes the moments; it is part of every title.
    """
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    return tuple(_power_cut(number, seed, dice) for number in range(1, CUTS + 1))


def _power_cut(number: int, seed: int, dice: random.Random) -> Scenario:
    if number <= _EARLY:
        when, name, window = "power-on", "power-on", _EARLY_WINDOW
    else:
        when, name, window = "root-verified", "root was verified", _LATE_WINDOW
    delay = round(dice.uniform(*window), 2)
    return Scenario(
        id=f"power-cut-{number:02}",
        title=f"Power cut {delay:.2f} s after {name} in the first boot (seed {seed})",
        group=_GROUP,
        about="Whatever the first boot was writing, the next boot completes it: no slot is lost, "
        "and the data partition is either found or made again.",
        base="shipped",
        steps=(
            Step(
                title="first boot, cut off",
                expect=Expectation(ending=Ending.CUT),
                actions=(Action(do=Do.CUT, when=when, delay=delay),),
            ),
            Step(
                title="next boot",
                expect=Expectation(ending=Ending.UP, console=("root-verified:a",)),
            ),
        ),
    )
