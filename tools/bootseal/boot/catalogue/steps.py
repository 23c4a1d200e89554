# SPDX-License-Identifier: MIT
"""The usual ways for a scenario to end, as steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import (
    STEP_TIMEOUT,
    Action,
    Do,
    Expectation,
    ExpectedStatus,
    Step,
)

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

_REFUSAL_TIMEOUT: Final = 60.0
# A serial line holds back what nobody reads, and Linux reads the console late: not too often.
_TYPED: Final = 80
_TYPING_INTERVAL: Final = 0.1
_STARTED: Final = ("kernel-handover", "root-verified", "systemd")


def came_up(
    *console: str,
    slot: str = "a",
    created: bool = False,
    identity: str = "",
    applications: str = "",
    state: str = "",
    title: str = "boot",
    actions: tuple[Action, ...] = (),
    prepare: Callable[[Workspace], None] | None = None,
    check: Callable[[Workspace], None] | None = None,
    timeout: float = STEP_TIMEOUT,
) -> Step:
    """Come up from a slot with data opened, or made in this boot; `console` is seen on the way."""
    return Step(
        expect=Expectation(
            ending=Ending.UP,
            console=console,
            status=ExpectedStatus(
                slot=slot,
                created=created,
                identity=identity,
                applications=applications,
                state=state,
            ),
        ),
        title=title,
        actions=actions,
        prepare=prepare,
        check=check,
        timeout=timeout,
    )


def up(*console: str) -> Step:
    """Come up from slot a with data opened; `console` is seen before the root is verified."""
    return came_up("slot-tried:a", *console, "root-verified:a")


def up_from_b(*console: str) -> Step:
    """Give up slot a for the reasons in `console`, and come up from slot b with data opened."""
    return Step(
        expect=Expectation(
            ending=Ending.UP,
            console=("slot-tried:a", *console, "slot-tried:b", "root-verified:b"),
            forbidden=("root-verified:a",),
            status=ExpectedStatus(slot="b", created=False),
        )
    )


def refused(*why: str) -> Step:
    """Refuse both slots, each for the named reasons, then switch off."""
    console: tuple[str, ...] = ()
    for slot in ("a", "b"):
        reasons = (f"{name}:conf-{slot}" if name.endswith("-signature") else name for name in why)
        console += (f"slot-tried:{slot}", *reasons, f"slot-refused:{slot}")
    return Step(
        expect=Expectation(
            ending=Ending.POWERED_OFF, console=(*console, "all-refused"), forbidden=_STARTED
        ),
        timeout=_REFUSAL_TIMEOUT,
    )


def no_boot_loader(why: str = "") -> Step:
    """Refuse the boot loaders of both banks, for the named reason if there is one; switch off."""
    console: tuple[str, ...] = ()
    for bank in ("a", "b"):
        console += (f"bank:{bank}", *([why] if why else []), f"bank-refused:{bank}")
    return Step(
        expect=Expectation(
            ending=Ending.POWERED_OFF,
            console=(*console, "no-boot-loader"),
            forbidden=("u-boot", *_STARTED),
        ),
        timeout=_REFUSAL_TIMEOUT,
    )


def reached_kernel(*console: str, forbidden: tuple[str, ...] = ()) -> Step:
    """Start a kernel, which is as far as the boot loaders decide; `console` is seen before it."""
    return Step(
        expect=Expectation(
            ending=Ending.CONSOLE, console=(*console, "kernel-handover"), forbidden=forbidden
        ),
        until="kernel-handover",
        timeout=120.0,
    )


def closed(*findings: str) -> Step:
    """Come up with data closed, and say why."""
    system = ExpectedStatus(
        findings=("data.closed", *findings),
        reason=r"(?i)tpm|unseal|policy",
        identity=r"^no key, .*: the data partition is closed",
    )
    return Step(
        expect=Expectation(
            ending=Ending.UP, console=("slot-tried:a", "root-verified:a"), status=system
        )
    )


def never_up(block: str) -> Step:
    """See dm-verity refuse the root, and nothing from it run."""
    return Step(
        expect=Expectation(
            ending=Ending.CONSOLE,
            console=("kernel-handover", f"verity-corruption:{block}", "verity-restart"),
            forbidden=("root-verified", "systemd"),
        ),
        until="verity-restart",
        timeout=120.0,
    )


def never_started(why: str) -> Step:
    """See U-Boot give up for the named reason, before anything starts."""
    return Step(
        expect=Expectation(
            ending=Ending.CONSOLE, console=("slot-tried:a", why), forbidden=_STARTED
        ),
        until=why,
        timeout=_REFUSAL_TIMEOUT,
    )


def while_typing(text: str, *, when: str) -> Step:
    """Come up as usual while keys are pressed for eight seconds."""
    action = Action(do=Do.TYPE, when=when, text=text, repeat=_TYPED, interval=_TYPING_INTERVAL)
    return came_up("slot-tried:a", "root-verified:a", actions=(action,))
