# SPDX-License-Identifier: MIT
"""A device that is asked, at its shell, to install bundles, and what it says of each.

The bundles lie on a second disk. Every request is a line of the station's; the device answers with
the exit code, what RAUC's client printed, what its service logged, and the slot state.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import bundles
from bootseal.boot.catalogue.bench import exchange, station
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from bootseal.boot.catalogue.bench.station import Port
    from bootseal.boot.scenario.workspace import Workspace

_PLACE: Final = "/tmp/bundles"  # noqa: S108 - on the device
_NOBODY: Final = "setpriv --reuid=65534 --regid=65534 --clear-groups"
_UNCHANGED: Final = "BOOT_A_LEFT=3 BOOT_B_LEFT=3 BOOT_ORDER=A B"

_LISTEN: Final = "; ".join(
    (
        f"exec 3<>{station.PATH}",
        f"mkdir {_PLACE}",
        f"mount -o ro UUID={bundles.UUID} {_PLACE}",
        # The bus gives a service 25 s to start, which is little for a slow machine.
        "systemctl start rauc.service",
        "s() { tail -c 6000 | base64 -w 0 >&3; echo >&3; }",
        'while read -r c <&3 && [ "$c" != end ]',
        "do journalctl --rotate --vacuum-time=1s >/dev/null 2>&1",
        "$c >/tmp/o 2>&1",
        "echo $? >&3",
        "s </tmp/o",
        "journalctl --sync; journalctl -b -q -o cat -u rauc.service | s",
        "fw_printenv | tr '\\n' ' ' | s",
        "done",
    )
)
STAY: Final = f"{_LISTEN}; systemctl restart bootseal-status.service\r"
"""What is typed on a device that stays up, with a function of `asking` at the other end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command on the device, and what has to come of it.

    Attributes:
        command: The command; `rauc install` finds bundles by their name below the place.
        accepted: Whether it has to succeed.
        said: Regular expression that what was said or logged must match.
    """

    command: str
    accepted: bool = False
    said: str


def _install(name: str, said: str, *, options: str = "") -> Request:
    return Request(command=f"rauc install {options}{_PLACE}/{name}.raucb", said=said)


REFUSED: Final = (
    Request(
        command=f"{_NOBODY} rauc install {_PLACE}/small.raucb", said="Access denied|Rejected send"
    ),
    Request(command=f"{_NOBODY} rauc status mark-bad other", said="Access denied|Rejected send"),
    _install("other-ca", "unable to get local issuer certificate|signature failure"),
    # Of a plain bundle, RAUC asks first which file system holds it.
    Request(command=f"cp {_PLACE}/plain.raucb /tmp/plain.raucb", accepted=True, said=""),
    Request(command="rauc install /tmp/plain.raucb", said="(?i)bundle format 'plain' not allowed"),
    _install("other-devices", "Compatible mismatch"),
    _install(
        "other-board",
        "update refused: the release is for another board",
        options="--ignore-compatible ",
    ),
    _install("older", "update refused: the release has rollback index 0: below 1 is refused"),
    _install("foreign-policy", "update refused: its PCR policy is not signed by the maker"),
    # The handler meets the block first, as it reads what would be measured.
    _install("changed", "update refused: the image of the boot partition cannot be read"),
    # What the agent, which is no more than a user, reads of the last one.
    Request(
        command=f"{_NOBODY} cat /run/bootseal-update/refused",
        accepted=True,
        said=r"\Aupdate refused: the image of the boot partition cannot be read",
    ),
)
"""Each refused for its own reason, before anything is written."""


def plug_refused(workspace: Workspace) -> None:
    """Make the bundles that are refused, put them onto a second disk, and connect the station.

    Raises:
        BootsealError: A bundle cannot be made.
    """
    maker = _maker(workspace)
    maker.small("small")
    maker.resigned("other-ca", "small", maker.other_keys())
    maker.for_other_devices("other-devices", "small")
    maker.changed("changed", "small")
    maker.plain("plain")
    maker.small("other-board", other_board=True)
    maker.small("older", index=0)
    maker.small("foreign-policy", foreign_policy=True)
    maker.plug()


def _maker(workspace: Workspace) -> bundles.Maker:
    station.plug(workspace)
    files = workspace.work / "bundles"
    files.mkdir()
    return bundles.Maker(workspace, files)


def asking(*requests: Request) -> Callable[[Workspace], None]:
    """Return what sends requests to a device, and checks what comes of each."""
    return exchange.in_turn(ask, requests)


def ask(port: Port, request: Request) -> None:
    """Send a request, and check what comes of it.

    Raises:
        VerificationRefused: Something else than what has to.
        Inconclusive: The device does not answer.
    """
    code, (said, logged, state) = exchange.answers(port, request.command, 3)
    text = f"{request.command}: exit code {code}, it said {said[-400:]!r}, logged {logged[-400:]!r}"
    exchange.check_code(code, text, accepted=request.accepted)
    if not re.search(request.said, said + logged):
        raise VerificationRefused(f"{text}: expected {request.said!r}")
    if state.strip() != _UNCHANGED:
        raise VerificationRefused(f"{text}; the slot state is {state!r}: expected {_UNCHANGED!r}")
