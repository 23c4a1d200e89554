# SPDX-License-Identifier: MIT
"""Scenarios about the encrypted data partition, its keys and its TPM."""

from __future__ import annotations

from typing import Final

from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks import forge_signed
from bootseal.boot.catalogue import after
from bootseal.boot.catalogue.steps import came_up, closed, never_started, refused
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Action, Do, Expectation, ExpectedStatus, Scenario, Step
from bootseal.boot.scenario.workspace import Tpm, Workspace

_GROUP: Final = "data"
_STATUS: Final = "bootseal-data status"
_ROTATE: Final = "bootseal-data rotate"
_WIPE: Final = "bootseal-data wipe"

DATA: Final = (
    Scenario(
        id="bus-recorded",
        title="Traffic with the TPM recorded",
        group=_GROUP,
        about="Every command and every response, in the first boot, which seals the key, and in a "
        "later one. Sessions are salted and encrypted, so neither the volume key, the sealed "
        "secret nor the recovery key is in the recordings. The search is known to work: it finds "
        "the digest that closes the policy, which is sent in clear, and it finds the secret in the "
        "traffic of an unsealing without encryption.",
        prepare=Workspace.record_tpm,
        steps=(came_up("root-verified:a", "data-opened", check=after.bus_is_silent),),
    ),
    Scenario(
        id="rotate-and-wipe",
        title="Key slot replaced, then all data wiped (development image)",
        group=_GROUP,
        about="The owner does this. After `bootseal-data rotate` a new key slot opens the same "
        "data, and the old one is gone. After `bootseal-data wipe` the next boot makes an empty "
        "volume with another recovery key, and the old one opens nothing.",
        steps=(
            came_up(
                *("data-opened", "rollback-lowest:1", "data-rotated", "data-opened"),
                title="rotate",
                actions=(
                    Action(do=Do.TYPE, when="shell", text=f"{_STATUS} && {_ROTATE} && reboot\r"),
                ),
                check=after.rotated,
            ),
            came_up(
                *("data-opened", "data-wiped", "recovery-handed-out", "data-opened"),
                created=True,
                title="wipe",
                actions=(Action(do=Do.TYPE, when="shell", text=f"{_WIPE} && reboot\r"),),
                check=after.wiped,
            ),
        ),
    ),
    Scenario(
        id="other-tpm",
        title="Disk moved to another device",
        group=_GROUP,
        about="The key is sealed to the TPM of the first device. The system runs, its data stays "
        "closed, and it says why.",
        tpm=Tpm.FRESH,
        steps=(closed(),),
    ),
    Scenario(
        id="tpm-cleared",
        title="TPM cleared",
        group=_GROUP,
        about="The storage seed is replaced, so nobody can unseal what was sealed before.",
        tpm=Tpm.CLEARED,
        steps=(closed(),),
    ),
    Scenario(
        id="tpm-locked-out",
        title="TPM in lockout after wrong guesses",
        group=_GROUP,
        about="The key is sealed to a policy and not to a password, so lockout does not affect it: "
        "the data opens, and the system reports the state of the TPM.",
        tpm=Tpm.LOCKED_OUT,
        steps=(came_up("root-verified:a", "tpm-lockout", "data-opened"),),
    ),
    Scenario(
        id="tpm-full",
        title="TPM without room for the rollback index",
        group=_GROUP,
        about="Before the first boot. A device that cannot remember how old a release may be makes "
        "no data partition and says why. The rest of the system runs.",
        base="shipped",
        tpm=Tpm.FULL,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.UP,
                    console=("root-verified:a", "data-closed"),
                    status=ExpectedStatus(
                        created=False,
                        findings=("data.closed",),
                        reason="the TPM has no room for index",
                    ),
                )
            ),
        ),
    ),
    Scenario(
        id="no-tpm",
        title="TPM removed",
        group=_GROUP,
        about="Nothing may run unmeasured. On this board a read where no chip answers is a bus "
        "error, and U-Boot resets, over and over.",
        base="shipped",
        tpm=Tpm.NONE,
        steps=(never_started("bus-error"),),
    ),
    Scenario(
        id="tpm-other-bank",
        title="TPM without SHA-256 PCRs",
        group=_GROUP,
        about="Nothing may run unmeasured: the layer's bootm refuses when a measurement fails, "
        "where mainline U-Boot boots on.",
        base="shipped",
        tpm=Tpm.OTHER_BANK,
        steps=(refused("boot-refused:not measured"),),
    ),
    Scenario(
        id="other-initramfs",
        title="Another initramfs, signed to boot but without a PCR policy",
        group=_GROUP,
        about="A build of the maker's own. It boots, PCR 9 differs, and the TPM does not release "
        "the key.",
        prepare=fit_attacks.signed_by_maker(forge_signed.other_initramfs),
        steps=(closed("pcr.9", "event-log.differs"),),
    ),
)
