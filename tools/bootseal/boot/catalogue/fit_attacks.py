# SPDX-License-Identifier: MIT
"""Attacks on a signed FIT, one row each: the mutation, and the verdict of every verifier.

Devices are booted with the FITs of these rows: `bootseal.boot.catalogue.fit` makes the scenarios.
The rows are also checked without a device, together with those of `tests/vectors/fit_attacks.py`
that are not booted: by both strictnesses of `bootseal fit verify`, by U-Boot's own `fit_check_sign`
and by the FIT gate.

To add one, put the mutation into `bootseal.boot.attacks.forge_fit`, unless an existing one will do,
and the row here. Then `python -m tests.attack_tables` writes the tables of docs/fit.md and
docs/attacks.md; add to docs/disk.md what `disk check` finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import forge, forge_bits, forge_fit, forge_signed
from bootseal.boot.catalogue.steps import refused, up, up_from_b
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.boot.scenario.model import Step

_NO_PLACE: Final = "gate-refused:a node where none belongs"
_NO_FIT: Final = ("gate-refused:not a flattened image tree", "bad-format")
_FUTURE_VERSION: Final = 18
_DEEP: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """What a device does with the FIT.

    Attributes:
        id: Id of the scenario.
        about: For the report: why this is worth trying, and what stops it.
        step: How the device must end.
        slots: The slots that hold the FIT; only slot a if slot b has to start instead.
    """

    id: str
    about: str
    step: Step
    slots: str = "ab"


@dataclass(frozen=True, slots=True, kw_only=True)
class FitAttack:
    """One way to change a signed FIT without the key.

    It works on any FIT with embedded data whose first configuration names a kernel, a device tree
    and an initramfs.

    Attributes:
        id: Number in docs/fit.md, and a letter when there are several of one kind.
        title: What is changed.
        change: Makes the attacked FIT from the genuine one.
        strict: The strict check's finding, first or among others, without `fit.`; `malformed`
            when the FIT cannot be parsed, empty when the change is harmless and accepted.
        uboot: Whether a U-Boot with all published fixes, but without the FIT gate, still boots it:
            the genuine images or, where docs/fit.md says so, the attacker's.
        boot: What a device does with it; None where no device is booted with it.
    """

    id: str
    title: str
    change: Callable[[bytes], bytes]
    strict: str
    uboot: bool = False
    boot: Booted | None = None


def _flipped(
    letter: str,
    what: str,
    bit: forge_bits.PropertyBit,
    strict: str,
    scenario: str,
    *why: str,
    uboot: bool = False,
    about: str,
) -> FitAttack:
    """Flip a bit in slot a, which is refused for these reasons, and slot b starts."""
    step = up_from_b(*why, "slot-refused:a")
    return FitAttack(
        id=f"S26{letter}",
        title=f"One bit flipped in the {what}",
        change=forge_bits.flip(bit),
        strict=strict,
        uboot=uboot,
        boot=Booted(id=scenario, about=about, step=step, slots="a"),
    )


FIT_ATTACKS: Final = (
    _flipped(
        "a",
        "kernel",
        forge_bits.KERNEL,
        "image-hash",
        "kernel-flipped",
        "bad-hash:kernel-1",
        about="The hash in the image node no longer matches, and the signature of the "
        "configuration covers that hash.",
    ),
    _flipped(
        "b",
        "device tree",
        forge_bits.DEVICE_TREE,
        "image-hash",
        "device-tree-flipped",
        "bad-hash:fdt-a",
        about="The device tree holds the kernel command line, and with it the root hash that "
        "dm-verity checks against.",
    ),
    _flipped(
        "c",
        "initramfs",
        forge_bits.INITRAMFS,
        "image-hash",
        "initramfs-flipped",
        "bad-hash:ramdisk-1",
        about="The initramfs sets up dm-verity and decides what is started.",
    ),
    _flipped(
        "d",
        "configuration node",
        forge_bits.CONFIGURATION,
        "bad-signature",
        "configuration-flipped",
        "bad-signature:conf-a",
        about="conf-a names fdt-c instead of fdt-a. That is well formed, so only the signature can "
        "detect it.",
    ),
    _flipped(
        "e",
        "signature",
        forge_bits.SIGNATURE,
        "bad-signature",
        "signature-flipped",
        "bad-signature:conf-a",
        about="The result is not a signature by the required key over this configuration.",
    ),
    _flipped(
        "f",
        "key name hint",
        forge_bits.HINT,
        "key-hint",
        "key-name-hint-flipped",
        "bad-hint:conf-a",
        "signature-refused",
        uboot=True,
        about="The hint is not signed, and mainline U-Boot ignores it and boots. The FIT gate "
        "compares it with the name of the required key.",
    ),
    FitAttack(
        id="S13k",
        title="Kernel replaced, signatures removed",
        change=forge_fit.carrying(forge_fit.replace_and_strip, "unsigned"),
        strict="no-signature",
        boot=Booted(
            id="fit-unsigned",
            about="The attacker's kernel with matching hashes, and no signature node anywhere.",
            step=refused("no-signature", "signature-refused"),
        ),
    ),
    FitAttack(
        id="S27",
        title="Kernel replaced, signed with another key",
        change=forge_signed.foreign,
        strict="bad-signature",
        boot=Booted(
            id="fit-foreign-key",
            about="A valid signature under the genuine hint, by a key that U-Boot's control device "
            "tree does not hold.",
            step=refused("bad-signature", "signature-refused"),
        ),
    ),
    FitAttack(
        id="S6f",
        title="Configurations of the same names put in front of the genuine ones",
        change=forge_fit.carrying(forge_fit.shadow_configurations, "shadow-configuration"),
        strict="duplicate-name",
        boot=Booted(
            id="configuration-shadowed",
            about="They name the attacker's kernel and carry copies of the genuine signatures. "
            "Mainline U-Boot finds them first, and then finds that the signatures are not for "
            "them. The FIT gate refuses two nodes with one path before that.",
            step=refused("gate-refused:two nodes have the same path"),
        ),
    ),
    FitAttack(
        id="S3",
        title="Copied configuration with another kernel, as the default (CVE-2020-10648)",
        change=forge_fit.carrying(forge_fit.add_configuration, "added-configuration"),
        strict="bad-signature",
        boot=Booted(
            id="configuration-added",
            about="The list of nodes in /configurations is not signed, so the genuine "
            "configurations stay valid. U-Boot is told which one to boot and never uses the "
            "default, so the genuine system starts. `bootseal fit verify` does refuse such a "
            "FIT.",
            step=up("configuration:conf-a"),
        ),
    ),
    FitAttack(
        id="S2",
        title="Images cloned, hashed-nodes naming the clones, kernel replaced (CVE-2026-46728)",
        change=forge_fit.carrying(forge_fit.clone_images, "cloned-images"),
        strict="hashed-nodes",
        boot=Booted(
            id="images-cloned",
            about="A verifier that trusts hashed-nodes finds the clones covered by the signature, "
            "and boots the attacker's kernel. The FIT gate refuses nodes in unexpected "
            "places; after it, a fixed U-Boot makes the list itself.",
            step=refused(_NO_PLACE),
        ),
    ),
    FitAttack(
        id="S5",
        title="Node kernel-1@1 put in front of kernel-1 (CVE-2021-27138)",
        change=forge_fit.carrying(forge_fit.add_unit_address, "unit-address"),
        strict="unit-address",
        boot=Booted(
            id="unit-address",
            about="libfdt finds kernel-1@1 when asked for kernel-1. Mainline U-Boot refuses unit "
            "addresses, too, since 2021.04.",
            step=refused("gate-refused:a node name has a character that is not allowed"),
        ),
    ),
    FitAttack(
        id="S29",
        title="Second data property put in front of the kernel's",
        change=forge_fit.carrying(forge_fit.add_data, "data-twice"),
        strict="malformed",
        boot=Booted(
            id="data-twice",
            about="No signature covers a property named data, however many there are. A verifier "
            "that keeps properties by name hashes the last one, which is genuine; libfdt "
            "finds the attacker's. Mainline U-Boot hashes what libfdt finds and refuses it. "
            "The FIT gate allows only one property of a name.",
            step=refused("gate-refused:two properties of a node have the same name"),
        ),
    ),
    FitAttack(
        id="S10b",
        title="Header version 18, compatible with 16",
        change=lambda fit: forge_fit.set_version(fit, _FUTURE_VERSION),
        strict="malformed",
        uboot=True,
        boot=Booted(
            id="header-version",
            about="The header is not signed, and mainline U-Boot boots a FIT of an unknown "
            "version. The FIT gate accepts exactly one.",
            step=refused("gate-refused:header version is not 17/16"),
        ),
    ),
    FitAttack(
        id="S18e",
        title="Total size of 32 MiB in the header, larger than the FIT",
        change=lambda fit: forge_fit.set_size(fit, 32 * MIB),
        strict="malformed",
        boot=Booted(
            id="header-size",
            about="The header is not signed, and mainline U-Boot trusts its size of the FIT in "
            "memory. The FIT gate knows how much was read from the partition.",
            step=refused("gate-refused:larger than what was read"),
        ),
    ),
    FitAttack(
        id="S19d",
        title="A million nested nodes, and nothing else",
        change=lambda _: forge_fit.nested(_DEEP),
        strict="malformed",
        boot=Booted(
            id="nodes-nested",
            about="Mainline U-Boot walks them recursively, before it checks any signature, until "
            "its stack overflows. The FIT gate does not recurse.",
            step=refused(_NO_PLACE),
        ),
    ),
    FitAttack(
        id="S17b",
        title="Console lines of a good boot in the key name hint",
        change=forge_fit.spoof_console,
        strict="key-hint",
        uboot=True,
        boot=Booted(
            id="console-spoofed",
            about="Terminal escapes and forged lines: the hint is not signed, and mainline U-Boot "
            "prints it before it checks anything. The FIT gate allows printable text only.",
            step=refused("gate-refused:text is not printable"),
        ),
    ),
    FitAttack(
        id="S28a",
        title="Legacy uImage in place of the FIT",
        change=lambda _: forge.legacy_image(
            forge.attacker_kernel("legacy-image"), load=forge_fit.KERNEL_ADDRESS
        ),
        strict="malformed",
        boot=Booted(
            id="legacy-image",
            about="A format with checksums and no signature. The FIT gate refuses it, and "
            "U-Boot is built without it.",
            step=refused(*_NO_FIT),
        ),
    ),
    FitAttack(
        id="S28b",
        title="Bare kernel Image in place of the FIT",
        change=lambda _: forge.attacker_kernel("raw-kernel"),
        strict="malformed",
        boot=Booted(
            id="raw-kernel",
            about="There is no container, so there is no signature.",
            step=refused(*_NO_FIT),
        ),
    ),
)
