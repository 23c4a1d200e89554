# SPDX-License-Identifier: MIT
"""Scenarios about the encrypted data partition, its keys and its TPM."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Final

from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks import foreign_volume, forge_signed
from bootseal.boot.catalogue.bench import after
from bootseal.boot.catalogue.steps import came_up, closed, never_started, refused
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Action, Do, Expectation, ExpectedStatus, Scenario, Step
from bootseal.boot.scenario.workspace import Tpm, Workspace

_scenario: Final = partial(Scenario, group="data")
_STATUS: Final = "bootseal-data status"
_ROTATE: Final = "bootseal-data rotate"
_WIPE: Final = "bootseal-identity create && bootseal-identity token && bootseal-data wipe"
_DIRECTORY: Final = "/data/bootseal"
_COUNT: Final = f"{_DIRECTORY}/boots"
# Files that a script of root reads; what they print if it runs them is not in the text typed here.
_SHELL_TEXT: Final = "'PATH[$(echo BOOTSEAL-ATTACKER-CO''DE-RUNS >/dev/console)0]'"
_HOSTILE: Final = (
    f"mkfifo {_COUNT}; ln -s /dev/disk/by-partlabel/boot-b {_COUNT}.new",
    f"echo {_SHELL_TEXT} >{_COUNT}; mkfifo {_COUNT}.new",
    f"truncate -s 1T {_COUNT}; ln -s /dev/zero {_COUNT}.new",
)


def _refused(why: str) -> Step:
    """Come up with data closed for the named reason, which is on the console too."""
    system = ExpectedStatus(findings=("data.closed",), reason=why)
    return Step(
        expect=Expectation(
            ending=Ending.UP,
            console=("slot-tried:a", "root-verified:a", "data-closed"),
            forbidden=("data-opened",),
            status=system,
        )
    )


def _filled(hostile: str) -> Action:
    """Put files of an attacker's onto the data partition, and start again."""
    # reboot returns at once: the shell must not ask again before the next start.
    text = f"rm -r {_DIRECTORY}; mkdir {_DIRECTORY}; {hostile}; reboot; read wait\r"
    return Action(do=Do.TYPE, when="shell", text=text)


DATA: Final = (
    _scenario(
        id="bus-recorded",
        title="Traffic with the TPM recorded",
        about="Every command and every response, in the first boot, which seals the key, and in a "
        "later one. Sessions are salted and encrypted, so neither the volume key, the sealed "
        "secret nor the recovery key is in the recordings. The search is shown to work: it "
        "finds the digest that caps the PCR, which is sent in the clear, and the secret in "
        "the traffic of an unencrypted unsealing.",
        prepare=Workspace.record_tpm,
        steps=(came_up("root-verified:a", "data-opened", check=after.bus_is_silent),),
    ),
    _scenario(
        id="rotate-and-wipe",
        title="Key slot replaced, then all data wiped (development image)",
        about="What an owner does. After `bootseal-data rotate` a new key slot opens the same "
        "data, and the old one is gone. After `bootseal-data wipe` the next boot makes an empty "
        "volume with another recovery key, and the old one opens nothing. The identity key is "
        "gone with the data.",
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
                *("data-opened", "identity-token:without", "data-wiped"),
                *("recovery-handed-out", "data-opened"),
                created=True,
                identity="^no key, no certificate, no token: there is no identity key",
                title="wipe",
                actions=(Action(do=Do.TYPE, when="shell", text=f"{_WIPE} && reboot\r"),),
                check=after.wiped,
            ),
        ),
    ),
    _scenario(
        id="data-null-cipher",
        title="Data partition without encryption: the null cipher in its header",
        about="With a signed kernel that supports cipher_null, two words of the LUKS2 header and "
        "its checksum are changed, which needs no key; the data would be written in the "
        "clear. Before it opens anything, the device compares the whole header with the one "
        "that it writes.",
        prepare=foreign_volume.null_cipher,
        steps=(_refused(r'segments\.0\.encryption is "cipher_null-ecb"'),),
    ),
    _scenario(
        id="data-null-slot",
        title="An attacker's volume behind the TPM's own token",
        about="The same kernel. The TPM's key slot is turned into one that any key opens and that "
        "holds a volume key of the attacker's.",
        prepare=foreign_volume.null_slot,
        steps=(_refused(r'keyslots\.0\.area\.encryption is "cipher_null-ecb"'),),
    ),
    _scenario(
        id="data-replaced",
        title="Data partition replaced by another volume of the same device",
        about="The volume from before a wipe is restored. Its header is valid and the TPM unseals "
        "its key, but the measurement of its volume key differs from the one that was "
        "enrolled when the newer volume was made.",
        steps=(
            Step(
                title="first boot after the wipe",
                prepare=foreign_volume.wipe,
                expect=Expectation(
                    ending=Ending.UP,
                    console=("volume-enrolled", "recovery-handed-out", "data-opened"),
                    status=ExpectedStatus(created=True),
                ),
            ),
            dataclasses.replace(
                _refused("not the volume that is enrolled in the TPM"),
                title="the volume from before",
                prepare=foreign_volume.put_back,
            ),
        ),
    ),
    _scenario(
        id="data-content-hostile",
        title="An attacker's files on the data partition (development image)",
        about="They replace the files there that a root script reads or writes: a FIFO and a link "
        "to slot b's boot partition, shell text instead of a number, a file of 1 TiB and a "
        "link to /dev/zero. None of it is run, waited for or written through; the boot is "
        "good, and the count starts again.",
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.UP,
                    console=("data-opened",)
                    + len(_HOSTILE) * ("root-verified:a", "data-opened", "boots-refused"),
                    status=ExpectedStatus(created=False),
                ),
                actions=tuple(_filled(hostile) for hostile in _HOSTILE),
                check=foreign_volume.slot_b_as_built,
                timeout=1800.0,
            ),
        ),
    ),
    _scenario(
        id="tpm-squatted",
        title="Rollback index defined first by an attacker",
        about="Before the first boot, an attacker with access to the TPM defines the index with "
        "the right attributes and a policy that lets them delete it later. The initramfs compares "
        "the index's whole Name, and starts nothing.",
        base="shipped",
        tpm=Tpm.SQUATTED,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.CONSOLE,
                    console=("slot-tried:a", "kernel-handover", "rollback-unknown"),
                    forbidden=("root-verified", "systemd"),
                ),
                until="rollback-unknown",
                timeout=120.0,
            ),
        ),
    ),
    _scenario(
        id="other-tpm",
        title="Disk moved to another device",
        about="The key is sealed to the first device's TPM. The system runs, its data stays "
        "closed, and it says why.",
        tpm=Tpm.FRESH,
        steps=(closed(),),
    ),
    _scenario(
        id="tpm-cleared",
        title="TPM cleared",
        about="The storage seed is replaced, so nothing that was sealed before can be unsealed.",
        tpm=Tpm.CLEARED,
        steps=(closed(),),
    ),
    _scenario(
        id="tpm-locked-out",
        title="TPM in lockout after wrong guesses",
        about="The key is sealed to a policy and not to a password, so lockout does not affect it: "
        "the data opens, and the system reports the state of the TPM.",
        tpm=Tpm.LOCKED_OUT,
        steps=(came_up("root-verified:a", "tpm-lockout", "data-opened"),),
    ),
    _scenario(
        id="tpm-full",
        title="TPM without room for the rollback index",
        about="Before the first boot. A device that cannot store the rollback index makes no data "
        "partition and says why. The rest of the system runs.",
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
    _scenario(
        id="no-tpm",
        title="TPM removed",
        about="Nothing may run unmeasured. On this board reading from an absent chip is a bus "
        "error, and U-Boot resets over and over.",
        base="shipped",
        rom=False,
        tpm=Tpm.NONE,
        steps=(never_started("bus-error"),),
    ),
    _scenario(
        id="tpm-other-bank",
        title="TPM without SHA-256 PCRs",
        about="Nothing may run unmeasured: the layer's bootm refuses when a measurement fails, "
        "whereas mainline U-Boot continues.",
        base="shipped",
        tpm=Tpm.OTHER_BANK,
        steps=(refused("boot-refused:not measured"),),
    ),
    _scenario(
        id="other-initramfs",
        title="Another initramfs, signed to boot but without a PCR policy",
        about="It is the maker's own build. It boots, PCR 9 differs, and the TPM does not release "
        "the key.",
        prepare=fit_attacks.signed_by_maker(forge_signed.other_initramfs),
        steps=(closed("pcr.9", "event-log.differs"),),
    ),
)
