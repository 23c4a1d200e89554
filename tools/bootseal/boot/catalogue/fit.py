# SPDX-License-Identifier: MIT
"""Scenarios about the FITs in the boot partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.catalogue.steps import refused, up, up_from_b
from bootseal.boot.scenario.model import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.boot.scenario.workspace import Workspace


def _flipped(
    id_: str, what: str, place: fit_attacks.PropertyBit, *why: str, about: str
) -> Scenario:
    return Scenario(
        id=id_,
        title=f"One bit flipped in the {what} of slot a",
        group="fit",
        about=about,
        prepare=fit_attacks.flip(place),
        steps=(up_from_b(*why, "slot-refused:a"),),
    )


def _refused(
    id_: str, title: str, prepare: Callable[[Workspace], None], *why: str, about: str
) -> Scenario:
    return Scenario(
        id=id_,
        title=title,
        group="fit",
        about=about,
        base="shipped",
        prepare=prepare,
        steps=(refused(*why),),
    )


FLIPS: Final = (
    _flipped(
        "kernel-flipped",
        "kernel",
        fit_attacks.KERNEL,
        "bad-hash:kernel-1",
        about="The hash in the image node no longer fits; the configuration signature covers it.",
    ),
    _flipped(
        "device-tree-flipped",
        "device tree",
        fit_attacks.DEVICE_TREE,
        "bad-hash:fdt-a",
        about="It holds the command line with the root hash of dm-verity.",
    ),
    _flipped(
        "initramfs-flipped",
        "initramfs",
        fit_attacks.INITRAMFS,
        "bad-hash:ramdisk-1",
        about="It opens dm-verity and decides what is started.",
    ),
    _flipped(
        "configuration-flipped",
        "configuration node",
        fit_attacks.CONFIGURATION,
        "bad-signature:conf-a",
        about="The flip names another, well-formed image: only the signature objects.",
    ),
    _flipped(
        "signature-flipped",
        "signature",
        fit_attacks.SIGNATURE,
        "bad-signature:conf-a",
        about="Not a signature by the required key over this configuration.",
    ),
    _flipped(
        "key-name-hint-flipped",
        "key-name-hint",
        fit_attacks.HINT,
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
        prepare=fit_attacks.flip(fit_attacks.KERNEL, "ab"),
        steps=(refused("bad-hash:kernel-1"),),
    ),
    _refused(
        "fit-unsigned",
        "FIT without signatures",
        fit_attacks.replaced(fit_attacks.unsigned),
        "no-signature",
        "signature-refused",
        about="The attacker's kernel, hashes that fit, no signature node.",
    ),
    _refused(
        "fit-foreign-key",
        "FIT signed with another key",
        fit_attacks.replaced(fit_attacks.foreign),
        "bad-signature",
        "signature-refused",
        about="Valid in itself, under the genuine hint, by a key U-Boot does not hold.",
    ),
    _refused(
        "configuration-shadowed",
        "Attacker's configurations put in front of the genuine ones",
        fit_attacks.replaced(fit_attacks.shadowed),
        "gate-refused:two nodes have the same path",
        about="Same names as the pinned ones, so U-Boot finds these first; each carries the "
        "genuine signature.",
    ),
    Scenario(
        id="configuration-added",
        title="Attacker's configuration added as the default",
        group="fit",
        about="The node list of /configurations is not signed, so the FIT stays valid; U-Boot is "
        "told which configuration to boot and never asks for the default.",
        prepare=fit_attacks.replaced(fit_attacks.added),
        steps=(up("configuration:conf-a"),),
    ),
    _refused(
        "images-cloned",
        "Images cloned and hashed-nodes rewritten",
        fit_attacks.replaced(fit_attacks.cloned),
        "gate-refused:a node stands where it has no place",
        about="CVE-2026-46728: the signature covers the clones, the attacker's kernel is booted.",
    ),
    _refused(
        "unit-address",
        "Kernel with a unit address put in front",
        fit_attacks.replaced(fit_attacks.unit_address),
        "gate-refused:a node name has a character that is not allowed",
        about="CVE-2021-27138: libfdt finds kernel-1@1 when asked for kernel-1.",
    ),
    _refused(
        "header-version",
        "FIT header of a future version",
        fit_attacks.replaced(fit_attacks.version),
        "gate-refused:header version is not 17/16",
        about="The header is not signed, and mainline U-Boot takes it for what it knows; the "
        "layer's gate knows one version.",
    ),
    _refused(
        "header-size",
        "FIT that claims to be larger than the partition",
        fit_attacks.replaced(fit_attacks.oversized),
        "gate-refused:larger than what was read",
        about="The header is not signed; mainline U-Boot takes its word for how much memory "
        "belongs to the FIT.",
    ),
    _refused(
        "nodes-nested",
        "A million nodes, each inside the one before",
        fit_attacks.replaced(fit_attacks.nested),
        "gate-refused:a node stands where it has no place",
        about="Mainline U-Boot calls itself for each of them until its stack is used up.",
    ),
    _refused(
        "console-spoofed",
        "Console lines forged in the key-name-hint",
        fit_attacks.replaced(fit_attacks.spoofed),
        "gate-refused:text is not printable",
        about="Mainline U-Boot prints the hint before it checks anything; nothing signs it.",
    ),
    _refused(
        "payload-moved",
        "Kernel moved by data-position under the initramfs",
        fit_attacks.signed_by_maker(fit_attacks.overwriting),
        "gate-refused:data is placed by a property that nothing signs",
        about="Verified, then overwritten by the load of another signed image; needs a maker's "
        "mistake in the signed FIT, which is made here with the device's own key.",
    ),
    _refused(
        "load-overlap",
        "Initramfs loaded to where the kernel is unpacked",
        fit_attacks.signed_by_maker(fit_attacks.overlapping),
        "gate-refused:two load ranges overlap",
        about="Verified, then overwritten: a maker's mistake, made here with the device's own key.",
    ),
    _refused(
        "load-in-fit",
        "Initramfs loaded into the FIT",
        fit_attacks.signed_by_maker(fit_attacks.self_overwriting),
        "gate-refused:a load range overlaps the FIT",
        about="Likewise: the copy would land on signatures and images that were checked before.",
    ),
    _refused(
        "legacy-image",
        "Legacy uImage in the slots",
        fit_attacks.replaced(fit_attacks.legacy),
        "gate-refused:not a flattened image tree",
        "bad-format",
        about="A format with checksums and no signature.",
    ),
    _refused(
        "raw-kernel",
        "Bare kernel Image in the slots",
        fit_attacks.replaced(fit_attacks.raw_kernel),
        "gate-refused:not a flattened image tree",
        "bad-format",
        about="No container, no signature.",
    ),
)
