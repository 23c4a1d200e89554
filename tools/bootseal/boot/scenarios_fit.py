# SPDX-License-Identifier: MIT
"""Scenarios about the FITs in the boot partitions."""

from __future__ import annotations

from typing import Final

from bootseal.boot import attacks
from bootseal.boot.outcome import Scenario
from bootseal.boot.scenarios_ends import refused, up, up_from_b


def _flipped(id_: str, what: str, place: attacks.Place, *why: str, about: str) -> Scenario:
    return Scenario(
        id=id_,
        title=f"One bit flipped in the {what} of slot a",
        group="fit",
        about=about,
        prepare=attacks.flip(place),
        steps=(up_from_b(*why, "slot-refused:a"),),
    )


FLIPS: Final = (
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
        "bad-hint:conf-a",
        "signature-refused",
        about="Mainline U-Boot ignores the hint, which nothing signs; the layer's gate compares it "
        "with the required key.",
    ),
)

FIT: Final = (
    Scenario(
        id="both-slots-broken",
        title="One bit flipped in the kernel of both slots",
        group="fit",
        about="With nothing left to start the device says so and switches off; no prompt.",
        base="shipped",
        prepare=attacks.flip(attacks.KERNEL, "ab"),
        steps=(refused("bad-hash:kernel-1"),),
    ),
    Scenario(
        id="fit-unsigned",
        title="FIT without signatures",
        group="fit",
        about="The attacker's kernel, hashes that fit, no signature node.",
        base="shipped",
        prepare=attacks.replaced(attacks.unsigned),
        steps=(refused("no-signature", "signature-refused"),),
    ),
    Scenario(
        id="fit-foreign-key",
        title="FIT signed with another key",
        group="fit",
        about="Valid in itself, under the genuine hint, by a key U-Boot does not hold.",
        base="shipped",
        prepare=attacks.replaced(attacks.foreign),
        steps=(refused("bad-signature", "signature-refused"),),
    ),
    Scenario(
        id="configuration-shadowed",
        title="Attacker's configurations put in front of the genuine ones",
        group="fit",
        about="Same names as the pinned ones, so U-Boot finds these first; each carries the "
        "genuine signature.",
        base="shipped",
        prepare=attacks.replaced(attacks.shadowed),
        steps=(refused("gate-refused:two nodes have the same path"),),
    ),
    Scenario(
        id="configuration-added",
        title="Attacker's configuration added as the default",
        group="fit",
        about="The node list of /configurations is not signed, so the FIT stays valid; U-Boot is "
        "told which configuration to boot and never asks for the default.",
        prepare=attacks.replaced(attacks.added),
        steps=(up("configuration:conf-a"),),
    ),
    Scenario(
        id="images-cloned",
        title="Images cloned and hashed-nodes rewritten",
        group="fit",
        about="CVE-2026-46728: the signature covers the clones, the attacker's kernel is booted.",
        base="shipped",
        prepare=attacks.replaced(attacks.cloned),
        steps=(refused("gate-refused:a node stands where it has no place"),),
    ),
    Scenario(
        id="unit-address",
        title="Kernel with a unit address put in front",
        group="fit",
        about="CVE-2021-27138: libfdt finds kernel-1@1 when asked for kernel-1.",
        base="shipped",
        prepare=attacks.replaced(attacks.unit_address),
        steps=(refused("gate-refused:a node name has a character that is not allowed"),),
    ),
    Scenario(
        id="header-version",
        title="FIT header of a future version",
        group="fit",
        about="The header is not signed, and mainline U-Boot takes it for what it knows; the "
        "layer's gate knows one version.",
        base="shipped",
        prepare=attacks.replaced(attacks.version),
        steps=(refused("gate-refused:header version is not 17/16"),),
    ),
    Scenario(
        id="header-size",
        title="FIT that claims to be larger than the partition",
        group="fit",
        about="The header is not signed; mainline U-Boot takes its word for how much memory "
        "belongs to the FIT.",
        base="shipped",
        prepare=attacks.replaced(attacks.oversized),
        steps=(refused("gate-refused:larger than what was read"),),
    ),
    Scenario(
        id="nodes-nested",
        title="A million nodes, each inside the one before",
        group="fit",
        about="Mainline U-Boot calls itself for each of them until its stack is used up.",
        base="shipped",
        prepare=attacks.replaced(attacks.nested),
        steps=(refused("gate-refused:a node stands where it has no place"),),
    ),
    Scenario(
        id="console-spoofed",
        title="Console lines forged in the key-name-hint",
        group="fit",
        about="Mainline U-Boot prints the hint before it checks anything; nothing signs it.",
        base="shipped",
        prepare=attacks.replaced(attacks.spoofed),
        steps=(refused("gate-refused:text is not printable"),),
    ),
    Scenario(
        id="payload-moved",
        title="Kernel moved by data-position under the initramfs",
        group="fit",
        about="Verified, then overwritten by the load of another signed image; needs a maker's "
        "mistake in the signed FIT, which is made here with the device's own key.",
        base="shipped",
        prepare=attacks.signed_by_maker(attacks.overwriting),
        steps=(refused("gate-refused:data is placed by a property that nothing signs"),),
    ),
    Scenario(
        id="load-overlap",
        title="Initramfs loaded to where the kernel is unpacked",
        group="fit",
        about="Verified, then overwritten: a maker's mistake, made here with the device's own key.",
        base="shipped",
        prepare=attacks.signed_by_maker(attacks.overlapping),
        steps=(refused("gate-refused:two load ranges overlap"),),
    ),
    Scenario(
        id="load-in-fit",
        title="Initramfs loaded into the FIT",
        group="fit",
        about="Likewise: the copy would land on signatures and images that were checked before.",
        base="shipped",
        prepare=attacks.signed_by_maker(attacks.self_overwriting),
        steps=(refused("gate-refused:a load range overlaps the FIT"),),
    ),
    Scenario(
        id="legacy-image",
        title="Legacy uImage in the slots",
        group="fit",
        about="A format with checksums and no signature.",
        base="shipped",
        prepare=attacks.replaced(attacks.legacy),
        steps=(refused("gate-refused:not a flattened image tree", "bad-format"),),
    ),
    Scenario(
        id="raw-kernel",
        title="Bare kernel Image in the slots",
        group="fit",
        about="No container, no signature.",
        base="shipped",
        prepare=attacks.replaced(attacks.raw_kernel),
        steps=(refused("gate-refused:not a flattened image tree", "bad-format"),),
    ),
)
