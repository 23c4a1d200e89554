# SPDX-License-Identifier: MIT
"""The catalogue: what is done to a device, and the exact end it has to come to.

docs/attacks.md is this table for people. A scenario that must be refused has the attack in both
slots and ends in the named power-off within seconds; one that must be survived has it in slot a
alone and ends when the system says that it runs from slot b.
"""

from __future__ import annotations

from typing import Final

from bootseal.boot import attacks, attacks_root, attacks_state
from bootseal.boot.outcome import Action, Do, Ending, Expectation, Scenario, Step, System, Tpm
from bootseal.boot.scenarios_power import RESETS, power_cuts

SEED: Final = 20261122
"""Decides when the power is cut; change it to try other moments."""

_REFUSAL_TIMEOUT: Final = 60.0
_TYPED: Final = 200
_STARTED: Final = ("kernel-handover", "root-verified", "systemd")


def _up(*console: str, created: bool = False) -> Step:
    return Step(
        expect=Expectation(
            ending=Ending.UP,
            console=("slot-tried:a", *console, "root-verified:a"),
            system=System(created=created),
        )
    )


def _up_from_b(*console: str) -> Step:
    return Step(
        expect=Expectation(
            ending=Ending.UP,
            console=("slot-tried:a", *console, "slot-tried:b", "root-verified:b"),
            forbidden=("root-verified:a",),
            system=System(slot="b", created=False),
        )
    )


def _refused(*why: str) -> Step:
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


def _closed(*findings: str) -> Step:
    """Come up with data closed, and say why."""
    system = System(findings=("data.closed", *findings), reason=r"(?i)tpm|unseal|policy")
    return Step(
        expect=Expectation(
            ending=Ending.UP, console=("slot-tried:a", "root-verified:a"), system=system
        )
    )


def _never_up(block: str) -> Step:
    """See dm-verity refuse the root, and nothing of it run."""
    return Step(
        expect=Expectation(
            ending=Ending.CONSOLE,
            console=("kernel-handover", f"verity-corruption:{block}", "verity-restart"),
            forbidden=("root-verified", "systemd"),
        ),
        until="verity-restart",
        timeout=120.0,
    )


def _typing(text: str, *, when: str) -> Step:
    """Come up as ever while somebody types for ten seconds."""
    step = _up()
    action = Action(do=Do.TYPE, when=when, text=text, repeat=_TYPED)
    return Step(expect=step.expect, actions=(action,))


def _flipped(id_: str, what: str, place: attacks.Place, *why: str, about: str) -> Scenario:
    return Scenario(
        id=id_,
        title=f"One bit flipped in the {what} of slot a",
        group="fit",
        about=about,
        prepare=attacks.flip(place),
        steps=(_up_from_b(*why, "slot-refused:a"),),
    )


_BOOT: Final = (
    Scenario(
        id="first-boot",
        title="First boot",
        group="boot",
        about="The shipped disk comes up from slot a, read-only on dm-verity, and makes the data "
        "partition, sealed to this TPM.",
        base="shipped",
        steps=(_up("config-signed", "kernel-handover", created=True),),
    ),
    Scenario(
        id="second-boot",
        title="Second boot",
        group="boot",
        about="The data partition of the first boot is found and opened, not made anew.",
        steps=(_up("state-read"),),
    ),
)

_FLIPS: Final = (
    _flipped(
        "kernel-flipped",
        "kernel",
        attacks.KERNEL,
        "bad-hash:kernel-1",
        about="The hash in the image node no longer fits; the configuration signature covers it.",
    ),
    _flipped(
        "device-tree-flipped",
        "device tree",
        attacks.DEVICE_TREE,
        "bad-hash:fdt-a",
        about="It holds the command line with the root hash of dm-verity.",
    ),
    _flipped(
        "initramfs-flipped",
        "initramfs",
        attacks.INITRAMFS,
        "bad-hash:ramdisk-1",
        about="It opens dm-verity and decides what is started.",
    ),
    _flipped(
        "configuration-flipped",
        "configuration node",
        attacks.CONFIGURATION,
        "bad-signature:conf-a",
        about="The flip names another, well-formed image: only the signature objects.",
    ),
    _flipped(
        "signature-flipped",
        "signature",
        attacks.SIGNATURE,
        "bad-signature:conf-a",
        about="Not a signature by the required key over this configuration.",
    ),
    _flipped(
        "key-name-hint-flipped",
        "key-name-hint",
        attacks.HINT,
        "signature-refused",
        about="Mainline U-Boot ignores the hint, which nothing signs; the layer's gate compares it "
        "with the required key.",
    ),
)

_FIT: Final = (
    Scenario(
        id="both-slots-broken",
        title="One bit flipped in the kernel of both slots",
        group="fit",
        about="With nothing left to start the device says so and switches off; no prompt.",
        prepare=attacks.flip(attacks.KERNEL, "ab"),
        steps=(_refused("bad-hash:kernel-1"),),
    ),
    Scenario(
        id="fit-unsigned",
        title="FIT without signatures",
        group="fit",
        about="The attacker's kernel, hashes that fit, no signature node.",
        prepare=attacks.replaced(attacks.unsigned),
        steps=(_refused("no-signature", "signature-refused"),),
    ),
    Scenario(
        id="fit-foreign-key",
        title="FIT signed with another key",
        group="fit",
        about="Valid in itself, under the genuine hint, by a key U-Boot does not hold.",
        prepare=attacks.replaced(attacks.foreign),
        steps=(_refused("bad-signature", "signature-refused"),),
    ),
    Scenario(
        id="configuration-shadowed",
        title="Attacker's configurations put in front of the genuine ones",
        group="fit",
        about="Same names as the pinned ones, so U-Boot finds these first; each carries the "
        "genuine signature.",
        prepare=attacks.replaced(attacks.shadowed),
        steps=(_refused("signature-refused"),),
    ),
    Scenario(
        id="configuration-added",
        title="Attacker's configuration added as the default",
        group="fit",
        about="The node list of /configurations is not signed, so the FIT stays valid; U-Boot is "
        "told which configuration to boot and never asks for the default.",
        prepare=attacks.replaced(attacks.added),
        steps=(_up("configuration:conf-a"),),
    ),
    Scenario(
        id="images-cloned",
        title="Images cloned and hashed-nodes rewritten",
        group="fit",
        about="CVE-2026-46728: the signature covers the clones, the attacker's kernel is booted.",
        prepare=attacks.replaced(attacks.cloned),
        steps=(_refused("bad-signature", "signature-refused"),),
    ),
    Scenario(
        id="unit-address",
        title="Kernel with a unit address put in front",
        group="fit",
        about="CVE-2021-27138: libfdt finds kernel-1@1 when asked for kernel-1.",
        prepare=attacks.replaced(attacks.unit_address),
        steps=(_refused("unit-address", "bad-format"),),
    ),
    Scenario(
        id="payload-moved",
        title="Kernel moved by data-position under the initramfs",
        group="fit",
        about="Verified, then overwritten by the load of another signed image; needs a maker's "
        "mistake in the signed FIT, which is made here with the device's own key.",
        prepare=attacks.signed_by_maker(attacks.overwriting),
        steps=(_refused("bad-format"),),
    ),
    Scenario(
        id="legacy-image",
        title="Legacy uImage in the slots",
        group="fit",
        about="A format with checksums and no signature.",
        prepare=attacks.replaced(attacks.legacy),
        steps=(_refused("bad-format"),),
    ),
    Scenario(
        id="raw-kernel",
        title="Bare kernel Image in the slots",
        group="fit",
        about="No container, no signature.",
        prepare=attacks.replaced(attacks.raw_kernel),
        steps=(_refused("bad-format"),),
    ),
)

_ROOT: Final = (
    Scenario(
        id="root-flipped",
        title="One bit flipped in the root superblock of slot a",
        group="root",
        about="dm-verity restarts the device at the first read, three times; then slot b starts.",
        prepare=attacks_root.flip("root", attacks_root.SUPERBLOCK),
        steps=(_up_from_b("verity-corruption:data", "verity-restart"),),
    ),
    Scenario(
        id="root-scattered",
        title="Bits flipped all over the root of slot a",
        group="root",
        about="Blocks that only the running system reads are checked too, when it reads them.",
        prepare=attacks_root.scatter,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.CONSOLE, console=("verity-corruption:data", "verity-restart")
                ),
                until="verity-restart",
            ),
        ),
    ),
    Scenario(
        id="tree-flipped",
        title="One bit flipped in the top of the hash tree of slot a",
        group="root",
        about="The top block does not hash to the signed root hash.",
        prepare=attacks_root.flip("verity", attacks_root.TOP_LEVEL),
        steps=(_never_up("metadata"),),
    ),
    Scenario(
        id="root-swapped",
        title="Root and hash tree of slot a swapped for others that fit each other",
        group="root",
        about="A valid system of the same geometry and salt, but not the one whose root hash is "
        "signed.",
        prepare=attacks_root.swap,
        steps=(_never_up("metadata"),),
    ),
)

_STATE: Final = (
    Scenario(
        id="state-noise",
        title="Slot state filled with random bytes",
        group="settings",
        about="The checksum does not fit: defaults are used.",
        prepare=attacks_state.noise,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.UP,
                    console=("state-default", "slot-tried:a", "root-verified:a"),
                    system=System(created=False),
                )
            ),
        ),
    ),
    Scenario(
        id="state-smuggled",
        title="Settings smuggled into the slot state",
        group="settings",
        about="With a valid checksum; only three variables are imported, and bootargs is measured, "
        "so data would stay closed.",
        prepare=attacks_state.smuggle,
        steps=(_up(),),
    ),
    Scenario(
        id="state-injected",
        title="Shell commands in the three imported variables",
        group="settings",
        about="They are compared as text and never run; an unsigned FIT waits for the mistake.",
        prepare=attacks_state.inject,
        steps=(_refused("no-signature", "signature-refused"),),
    ),
    Scenario(
        id="settings-everywhere",
        title="Settings offered in every writable place",
        group="settings",
        about="verify=no, bootcmd, fdtcontroladdr in slot state, second flash, disk gap, QEMU's "
        "device tree and firmware configuration; an unsigned FIT waits for any of them.",
        prepare=attacks_state.offer_everywhere,
        steps=(_refused("no-signature", "signature-refused"),),
    ),
    Scenario(
        id="keys-pressed",
        title="Keys pressed all through U-Boot",
        group="settings",
        about="There is no moment at which the boot can be stopped.",
        steps=(_typing(" \r", when="power-on"),),
    ),
    Scenario(
        id="ctrl-c-pressed",
        title="Ctrl-C during load and verification",
        group="settings",
        about="The boot command cannot be interrupted, and would end in power-off if it could.",
        steps=(_typing("\x03", when="slot-tried:a"),),
    ),
)

_DATA: Final = (
    Scenario(
        id="other-tpm",
        title="Disk moved to another device",
        group="data",
        about="The key is sealed to the TPM of the first one.",
        tpm=Tpm.FRESH,
        steps=(_closed(),),
    ),
    Scenario(
        id="tpm-cleared",
        title="TPM cleared",
        group="data",
        about="A new storage seed: what was sealed before cannot be opened by anybody.",
        tpm=Tpm.CLEARED,
        steps=(_closed(),),
    ),
    Scenario(
        id="other-initramfs",
        title="Another initramfs, signed to boot but with no policy signed for it",
        group="data",
        about="It boots, PCR 9 differs, and the TPM keeps the key.",
        prepare=attacks.signed_by_maker(attacks.other_initramfs),
        steps=(_closed("pcr.9"),),
    ),
)


def catalogue(seed: int = SEED) -> tuple[Scenario, ...]:
    """Return all scenarios; the seed decides when the power is cut."""
    return (*_BOOT, *_FLIPS, *_FIT, *_ROOT, *_STATE, *_DATA, *RESETS, *power_cuts(seed))


SCENARIOS: Final = catalogue()
