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
        "and twins of it. By another maker's key, without a signature, with that of another image, "
        "with a bit changed in the first block and in the middle, with another partition, another "
        "name, a version below the lowest that the release allows, and behind a link. Each is "
        "refused for that reason.",
        prepare=applications.plug,
        steps=(_asked("asked", *applications.VERIFIED, status="^hello: not installed$"),),
    ),
    Scenario(
        id="app-started",
        title="Applications that start, and what others do in their place (development image)",
        group=_GROUP,
        about="Images are put where root has the installed ones, and checked before each start: by "
        "another maker's key, unsigned, too old, under a version that is not theirs, a directory, "
        "a FIFO, a device node and a link in the place of one, an application that the release "
        "does not name, and one below a minimum that was raised later. The good one runs, goes on "
        "while the installation of a newer one fails for want of room on the data partition, and "
        "runs by itself in the next boot. One that tries to reach devices, the TPM, the data of "
        "others and the network, to extend a PCR, to gain privileges and to run what it wrote "
        "itself is held back from each. In the last boot another maker's image is in its place, "
        "and does not run.",
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
