# SPDX-License-Identifier: MIT
"""Scenarios about the key that identifies the device to TLS servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import release
from bootseal.boot.catalogue.bench import cloud, listeners, outage, station
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Action, Do, Expectation, Scenario, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.boot.scenario.workspace import Workspace

_GROUP: Final = "identity"
_CERTIFIED: Final = "^key, certificate [0-9a-f]+, token$"


def _typed(commands: str, call: Callable[[Workspace], None]) -> Action:
    """Type commands at the shell, and do the other end's part of them."""
    return Action(do=Do.TYPE, when="shell", text=f"{commands}\r", call=call)


IDENTITY: Final = (
    Scenario(
        id="identity-issued",
        title="Identity key made, certified, used for TLS and revoked (development image)",
        group=_GROUP,
        about="A genuine device is enrolled, makes its key in the TPM, and answers a nonce with "
        "the proof. The verifier issues a certificate, and the device installs it. OpenSSL, "
        "mosquitto_pub and curl connect with the token to a real broker and to a double of AWS's "
        "credentials endpoint, which both see the device's name; a software key with that name is "
        "refused. After a restart, in which the token is made automatically, both servers refuse "
        "the certificate, which has been revoked. The token is still made from it, after an "
        "update that does not come up and after one that does.",
        prepare=cloud.serve,
        steps=(
            came_up(
                *("root-verified:a", "shell", "identity-token:with"),
                identity=_CERTIFIED,
                title="certified",
                actions=(_typed(f"{station.COMMANDS}; {cloud.CONNECT}", cloud.connects),),
            ),
            came_up(
                *("root-verified:a", "identity-token:with", "shell"),
                identity=_CERTIFIED,
                title="revoked",
                prepare=cloud.serve_after_revocation,
                actions=(_typed(cloud.CONNECT_AGAIN, cloud.is_refused),),
            ),
            came_up(
                *("slot-tried:b", "verity-restart", "root-verified:a", "identity-token:with"),
                title="fallback",
                prepare=release.update(attempts=1, spoil=release.broken_root),
                identity=_CERTIFIED,
            ),
            came_up(
                *("slot-tried:b", "root-verified:b", "identity-token:with"),
                slot="b",
                title="update",
                prepare=release.update(),
                identity=_CERTIFIED,
            ),
        ),
    ),
    Scenario(
        id="identity-no-listener",
        title="Nothing listens on the device (development image)",
        group=_GROUP,
        about="The device is connected to a network. Its socket tables have none that accepts "
        "anything from there, and every TCP port refuses a connection from outside. Then it "
        "listens on one port, which both methods must find.",
        prepare=listeners.plug,
        steps=(
            came_up(
                *("root-verified:a", "shell"),
                actions=(_typed(listeners.COMMANDS, listeners.looked_for),),
            ),
        ),
    ),
    Scenario(
        id="identity-power-cut",
        title="Power cut while connected and while keys are made (development image)",
        group=_GROUP,
        about="A certified device has a connection open with a broker, and makes others with the "
        "key in the TPM; meanwhile its certificate is installed and a second key is made, over and "
        "over, until the power is cut. The next boot has the first key with its certificate, and "
        "of the second all or nothing. The device connects again, at an address that it got by "
        "DHCP, and the TPM has counted no failed authorization.",
        prepare=cloud.serve,
        steps=(
            Step(
                title="cut off",
                expect=Expectation(
                    ending=Ending.CUT, console=("identity-token:with", "tpm-guesses:0x0")
                ),
                actions=(
                    _typed(f"{station.COMMANDS}; {outage.CONNECTED}", outage.stays_connected),
                    Action(do=Do.CUT, when="tpm-guesses:0x0", delay=outage.CUT_AFTER),
                ),
                check=outage.was_connected,
            ),
            came_up(
                *("root-verified:a", "identity-token:with", "shell"),
                *("identity-token:without", "tpm-guesses:0x0"),
                title="next boot",
                identity=_CERTIFIED,
                actions=(_typed(outage.AGAIN, outage.is_back),),
            ),
        ),
    ),
)
