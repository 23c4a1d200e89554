# SPDX-License-Identifier: MIT
"""Scenarios about what a product keeps on the data partition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import release
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import (
    Action,
    Do,
    Expectation,
    ExpectedStatus,
    Scenario,
    Step,
)
from bootseal.boot.scenario.workspace import Tpm
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.boot.scenario.workspace import Workspace

_GROUP: Final = "data"
# A secret that a service makes when it has none, as ssh servers make their host keys.
_KEY: Final = "/var/lib/product/key"
_SHOW: Final = (
    f"[ -e {_KEY} ] || head -c 16 /dev/urandom | od -An -v -tx1 | tr -d ' \\n' >{_KEY}; sync; "
    f"echo product: $(cat /etc/machine-id) $(cat {_KEY}); "
)
_AGAIN: Final = Action(do=Do.TYPE, when="shell", text=f"{_SHOW}reboot; read wait\r")
_STAY: Final = Action(
    do=Do.TYPE, when="shell", text=f"{_SHOW}systemctl restart bootseal-status.service\r"
)
_WIPE: Final = Action(do=Do.TYPE, when="shell", text="bootseal-data wipe && reboot; read wait\r")
# Behind the time that a serial log has in front of each line.
_SHOWN: Final = re.compile(r"^ *[0-9.]+ product: ([0-9a-f]{32}) ([0-9a-f]{32})\r?$", re.MULTILINE)


def kept(boots: int) -> Callable[[Workspace], None]:
    """Return a check that machine id and key were one pair in all boots so far, of that number."""

    def check(workspace: Workspace) -> None:
        found = [pair for number in (1, 2) for pair in shown(workspace, number)]
        if len(found) != boots or len(set(found)) != 1:
            said = "; ".join(" ".join(pair) for pair in found)
            raise VerificationRefused(
                f"machine id and key of the product did not stay in {boots} boots: {said}"
            )

    return check


def new(workspace: Workspace) -> None:
    """Check that after a wipe both the machine id and the key are others.

    Raises:
        VerificationRefused: One of them is still there.
    """
    before, after = (shown(workspace, number)[-1:] for number in (1, 3))
    if not before or not after:
        raise VerificationRefused("the device did not print machine id and key of the product")
    if stayed := [old for old, new in zip(*before, *after, strict=True) if old == new]:
        raise VerificationRefused(f"still there after a wipe: {', '.join(stayed)}")


def shown(workspace: Workspace, number: int) -> list[tuple[str, str]]:
    """Return machine id and key as the device printed them in the boots of a step."""
    log = workspace.work / f"step-{number}.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    return [(found[1], found[2]) for found in _SHOWN.finditer(text)]


# Where the state is says the status: systemd resets the console whenever it starts a service that
# writes there, and what the serial line has not sent by then is lost.
PRODUCT: Final = (
    Scenario(
        id="product-state",
        title="State of a product: after a restart, an update and a wipe (development image)",
        group=_GROUP,
        about="The machine id and a secret that a service generates if it has none are the same "
        "after a restart, and in the other release in slot b. After `bootseal-data wipe` both "
        "are new.",
        steps=(
            came_up(
                *("root-verified:a", "product-state", "root-verified:a", "product-state"),
                title="restarted",
                state="kept",
                actions=(_AGAIN, _STAY),
                check=kept(2),
            ),
            came_up(
                *("root-verified:b", "product-state"),
                slot="b",
                title="update",
                state="kept",
                prepare=release.update(),
                actions=(_STAY,),
                check=kept(3),
            ),
            came_up(
                *("root-verified:b", "data-wiped", "root-verified:b", "product-state"),
                slot="b",
                created=True,
                title="wiped",
                state="kept",
                actions=(_WIPE, _STAY),
                check=new,
            ),
        ),
    ),
    Scenario(
        id="product-state-closed",
        title="State of a product while its data is closed (development image)",
        group=_GROUP,
        about="With another TPM the data stays closed. The system still comes up, with a "
        "temporary machine id and an empty directory in memory instead of the state, and says "
        "on the console and in its status that these are gone at the next start.",
        tpm=Tpm.FRESH,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.UP,
                    console=("root-verified:a", "state-volatile", "product-state"),
                    forbidden=("state-kept",),
                    status=ExpectedStatus(
                        findings=("data.closed",),
                        reason=r"(?i)tpm|unseal|policy",
                        state="volatile",
                    ),
                ),
                actions=(_STAY,),
            ),
        ),
    ),
)
