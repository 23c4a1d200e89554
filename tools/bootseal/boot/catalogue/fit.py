# SPDX-License-Identifier: MIT
"""Scenarios about the FITs in the boot partitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks import forge_bits, forge_signed
from bootseal.boot.catalogue.fit_attacks import FIT_ATTACKS, Booted, FitAttack
from bootseal.boot.catalogue.steps import refused
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Scenario

if TYPE_CHECKING:
    from bootseal.keys.signers.base import Signer

_GROUP: Final = "fit"


def _scenario(attack: FitAttack, boot: Booted) -> Scenario:
    return Scenario(
        id=boot.id,
        title=attack.title if boot.slots == "ab" else f"{attack.title}, in slot {boot.slots}",
        group=_GROUP,
        about=boot.about,
        base="provisioned" if boot.step.expect.ending is Ending.UP else "shipped",
        prepare=fit_attacks.changed(attack.change, boot.slots),
        steps=(boot.step,),
    )


def _mistake(
    id_: str, title: str, make: Callable[[bytes, Signer], bytes], why: str, *, about: str
) -> Scenario:
    return Scenario(
        id=id_,
        title=title,
        group=_GROUP,
        about=about,
        base="shipped",
        prepare=fit_attacks.signed_by_maker(make),
        steps=(refused(why),),
    )


_BOTH_SLOTS: Final = Scenario(
    id="both-slots-broken",
    title="One bit flipped in the kernel of both slots",
    group=_GROUP,
    about="With nothing left to start, the device says so and powers off. There is no prompt.",
    base="shipped",
    prepare=fit_attacks.changed(forge_bits.flip(forge_bits.KERNEL)),
    steps=(refused("bad-hash:kernel-1"),),
)

_MISTAKES: Final = (
    _mistake(
        "payload-moved",
        "Kernel moved to where the initramfs will be loaded",
        forge_signed.overwriting,
        "gate-refused:data is placed by a property that nothing signs",
        about="data-position is not signed: the kernel is verified in its new place, then "
        "overwritten when the initramfs is loaded, and mainline U-Boot does not check for "
        "that. The attack also needs a maker's mistake, a load address on a signed initramfs. "
        "`bootseal fit sign` refuses to sign that, so the device's own key is used directly.",
    ),
    _mistake(
        "load-overlap",
        "Initramfs loaded to where the kernel is unpacked",
        forge_signed.overlapping,
        "gate-refused:two load ranges overlap",
        about="Verified, then overwritten: the same mistake by the maker, signed with the device's "
        "own key. Mainline U-Boot overwrites one with the other.",
    ),
    _mistake(
        "load-in-fit",
        "Initramfs loaded over the FIT",
        forge_signed.self_overwriting,
        "gate-refused:a load range overlaps the FIT",
        about="The same mistake again: the copy would overwrite signatures and images that were "
        "already checked. Mainline U-Boot detects this one, after the signature check.",
    ),
)


FIT: Final = (
    *(_scenario(attack, attack.boot) for attack in FIT_ATTACKS if attack.boot is not None),
    _BOTH_SLOTS,
    *_MISTAKES,
)
