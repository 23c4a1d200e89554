# SPDX-License-Identifier: MIT
"""Scenarios about the key that identifies the device to TLS servers."""

from __future__ import annotations

from typing import Final

from bootseal.boot.catalogue import station
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Action, Do, Expectation, Scenario, Step

_GROUP: Final = "identity"
# The first line end asks for another prompt, which is when the time to the power cut starts.
_OVER_AND_OVER: Final = (
    "\rwhile :; do rm -rf /data/identity; bootseal-identity create; bootseal-identity token; done\r"
)
_CUT_AFTER: Final = 9.0
# The status that was sent when the device came up is sent again, after what was done since.
_AGAIN: Final = (
    "bootseal-identity create; bootseal-identity token; "
    "tpm2_getcap properties-variable | grep LOCKOUT_COUNTER; "
    "systemctl restart bootseal-status.service\r"
)

IDENTITY: Final = (
    Scenario(
        id="identity-issued",
        title="Identity key made, proven and certified (development image)",
        group=_GROUP,
        about="A genuine device is enrolled, makes its key in the TPM, and answers a nonce with "
        "the proof. The verifier issues a certificate, and the device installs it. OpenSSL signs "
        "through PKCS#11 with the token, and the verifier checks that with the key that was "
        "proven. The next start makes the token by itself, from the same key and certificate.",
        prepare=station.plug,
        steps=(
            came_up(
                *("root-verified:a", "shell", "identity-token:with"),
                *("u-boot", "root-verified:a", "identity-token:with"),
                identity="^key, certificate [0-9a-f]+, token$",
                actions=(
                    Action(
                        do=Do.TYPE,
                        when="shell",
                        text=f"{station.COMMANDS}\r",
                        call=station.certify,
                    ),
                    Action(do=Do.TYPE, when="shell", text="reboot\r"),
                ),
            ),
        ),
    ),
    Scenario(
        id="identity-power-cut",
        title="Power cut while keys and tokens are made (development image)",
        group=_GROUP,
        about="The shell makes keys and tokens over and over until the power is cut. The next "
        "boot has a key or none, never a part of one; the TPM has counted no wrong guess.",
        steps=(
            Step(
                title="cut off",
                expect=Expectation(ending=Ending.CUT, console=("identity-token:without",)),
                actions=(
                    Action(do=Do.TYPE, when="shell", text=_OVER_AND_OVER),
                    Action(do=Do.CUT, when="identity-token:without", delay=_CUT_AFTER),
                ),
            ),
            came_up(
                *("root-verified:a", "shell", "tpm-guesses:0x0"),
                title="next boot",
                identity="^key, no certificate, token$",
                actions=(Action(do=Do.TYPE, when="shell", text=_AGAIN),),
            ),
        ),
    ),
)
