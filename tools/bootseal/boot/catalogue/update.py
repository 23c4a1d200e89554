# SPDX-License-Identifier: MIT
"""Scenarios about another release in the second slot: update, failure, and the way back."""

from __future__ import annotations

from typing import Final

from bootseal.boot.attacks import release
from bootseal.boot.catalogue.bench import updates
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Action, Do, Expectation, ExpectedStatus, Scenario, Step

_GROUP: Final = "update"
_TRIED: Final = ("slot-tried:b", "root-verified:b")
_BACK: Final = ("slot-tried:a", "root-verified:a")


UPDATES: Final = (
    Scenario(
        id="update",
        title="Update, then the older release again",
        group=_GROUP,
        about="Release 2 in slot b has a signed policy, so the same data opens without a new "
        "enrolment. Once release 2 is found good, the TPM's rollback index rises, and the "
        "initramfs of release 1 refuses to open its root, although its policy is still valid. Slot "
        "b starts again.",
        steps=(
            came_up(
                *(*_TRIED, "data-opened", f"rollback-raised:{release.INDEX}"),
                slot="b",
                title="release 2, first boot",
                prepare=release.update(),
            ),
            Step(
                title="release 1 tried first",
                prepare=release.back_to_a,
                expect=Expectation(
                    ending=Ending.UP,
                    console=("slot-tried:a", "kernel-handover", "rollback-refused:1", *_TRIED),
                    forbidden=("root-verified:a",),
                    status=ExpectedStatus(slot="b", created=False),
                ),
            ),
        ),
    ),
    Scenario(
        id="update-failed",
        title="Update that does not come up",
        group=_GROUP,
        about="The root of release 2 is damaged, so it is never found good and nothing is revoked: "
        "release 1 starts again and opens its data.",
        prepare=release.update(attempts=1, spoil=release.broken_root),
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.UP,
                    console=("slot-tried:b", "verity-corruption:data", "verity-restart", *_BACK),
                    forbidden=("root-verified:b", "rollback-refused", "rollback-raised"),
                    status=ExpectedStatus(created=False),
                ),
            ),
        ),
    ),
    Scenario(
        id="update-foreign-policy",
        title="Update with a policy that another key signed",
        group=_GROUP,
        about="Release 2 is signed to boot, but its policy only claims to be signed by the vendor. "
        "The TPM does not release the key, the system says so, the slot is not found good, and the "
        "next start is release 1 with its data.",
        steps=(
            Step(
                title="release 2, policy not the vendor's",
                prepare=release.update(attempts=1, foreign_policy=True),
                expect=Expectation(
                    ending=Ending.UP,
                    console=(*_TRIED, "data-closed"),
                    forbidden=("data-opened", "rollback-raised"),
                    status=ExpectedStatus(
                        slot="b", findings=("data.closed",), reason=r"(?i)tpm|unseal|policy"
                    ),
                ),
            ),
            came_up(*_BACK, "data-opened", title="release 1 again"),
        ),
    ),
    Scenario(
        id="update-refused",
        title="Bundles that RAUC refuses, and callers that it does not hear (development image)",
        group=_GROUP,
        about="The running device is asked to install bundles: one that the update key of another "
        "maker signed, one of the format plain, one for devices of another name; past RAUC's own "
        "comparison of names, one for another board; one with a lower rollback index, one whose "
        "PCR policy another key signed, and one with a changed block. Each is refused for that "
        "reason before anything is written. A user without rights can neither install nor mark a "
        "slot.",
        prepare=updates.plug_refused,
        steps=(
            came_up(
                *("root-verified:a", "shell"),
                title="asked",
                actions=(
                    Action(
                        do=Do.TYPE,
                        when="shell",
                        text=updates.STAY,
                        call=updates.asking(*updates.REFUSED),
                    ),
                ),
            ),
            came_up(*_BACK, title="next boot"),
        ),
    ),
)
