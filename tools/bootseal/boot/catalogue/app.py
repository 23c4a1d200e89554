# SPDX-License-Identifier: MIT
"""Scenarios about applications: which image may run, and what one may do that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.boot.catalogue.bench import applications
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.scenario.model import Action, Do, Scenario, Step

if TYPE_CHECKING:
    from bootseal.boot.catalogue.bench.applications import Request

_GROUP: Final = "app"


def _asked(title: str, *requests: Request, status: str = "", first: str = "") -> Step:
    """Come up, ask at the shell, and see in the status what then runs."""
    console = ("root-verified:a", "shell")
    actions: tuple[Action, ...] = ()
    if requests:
        call = applications.asking(*requests)
        actions = (Action(do=Do.TYPE, when="shell", text=applications.STAY, call=call),)
    return came_up(
        *console[: 2 if requests else 1],
        applications=status or first,
        title=title,
        actions=actions,
        timeout=1200.0,
    )


APPLICATIONS: Final = (
    Scenario(
        id="app-refused",
        title="Application images that are not installed (development image)",
        group=_GROUP,
        about="The running device is asked to verify images before they are installed: a good one, "
        "and tampered twins of it. They are signed with another maker's key, unsigned, signed for "
        "another image, have a bit changed in the first block or in the middle, another partition, "
        "another name or a version below the lowest that the release allows, or are behind a link. "
        "Each is refused for that reason.",
        prepare=applications.plug,
        steps=(_asked("asked", *applications.VERIFIED, status="^hello: not installed$"),),
    ),
    Scenario(
        id="app-started",
        title="Applications that start, and images that do not (development image)",
        group=_GROUP,
        about="Images are put where the installed ones are, and checked before each start. Those "
        "signed with another maker's key, unsigned, too old, or named after another version do not "
        "run, nor does a directory, FIFO, device node or link instead of an image, an application "
        "that the release does not name, or one below a minimum that was raised later. The good "
        "one runs, keeps running while the installation of a newer one fails because the data "
        "partition is full, and starts automatically in the next boot. One that tries to reach "
        "devices, the TPM, the data of others and the network, to extend a PCR, to gain privileges "
        "and to run what it wrote itself is stopped each time. In the last boot another maker's "
        "image replaces it, and does not run.",
        prepare=applications.plug,
        steps=(
            _asked(
                "installed", *applications.CHECKED, status="^hello 1.2.0: failed: it has ended$"
            ),
            _asked("by itself", *applications.CONFINED),
            _asked(
                "replaced",
                status="^hello: refused: no certificate in /etc/verity.d signed the image$",
            ),
        ),
    ),
)
