# SPDX-License-Identifier: MIT
"""The chain of trust of a checked disk as stages, and the keys with what each of them signed.

What the check of the disk found decides about a stage, and nothing that a file says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bootseal.dossier.model import KeyUse, Stage, Standing
from bootseal.firmware import chain as certificates
from bootseal.firmware.chain import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.check.disk import DiskVerdict
    from bootseal.check.expected import Expected
    from bootseal.device import Device

_ROM, _U_BOOT, _DATA = "rom", "u-boot", "data"
_UNCHECKED: Final = "disk.policy-unchecked"
_PROVISIONED: Final = "disk.data-provisioned"
_SHORT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A disk that was checked.

    Attributes:
        device: Its device.
        target: What it was checked against, with the policy key.
        verdict: What was found.
        policy_from: What holds the policy key; empty where it is not known.
    """

    device: Device
    target: Expected
    verdict: DiskVerdict
    policy_from: str

    @property
    def hints(self) -> str:
        """Names of the keys that U-Boot requires for configurations."""
        return ", ".join(key.hint for key in self.verdict.chain.trust.required("conf"))

    @property
    def level(self) -> int:
        """Place of the FITs in the chain."""
        return 1 if self.device.firmware is None else 3

    def standing(self, *, good: bool) -> Standing:
        """Return the standing of something that was looked at."""
        return Standing.GOOD if good else Standing.REFUSED

    def wrong(self, *where: str) -> bool:
        """Tell whether there are errors in one of some places."""
        return any(each.where.partition(":")[0] in where for each in self.verdict.errors)

    @property
    def policies(self) -> Standing | None:
        """The standing of all PCR policies; None where each has its own."""
        unknown = any(each.id == _UNCHECKED for each in self.verdict.findings)
        return Standing.UNKNOWN if unknown else None

    def policy(self, slot: str) -> Standing:
        """Return the standing of the PCR policy of a slot."""
        return self.policies or self.standing(good=slot in self.verdict.chain.approved)


def stages(checked: Checked) -> tuple[Stage, ...]:
    """Return the stages, each behind those that verify it; what only refused ones verify is not."""
    found: dict[str, Stage] = {}
    for stage in (*_loaders(checked), *_systems(checked), *_ways(checked)):
        behind = [found[name].standing for name in stage.behind]
        lost = bool(behind) and all(each is Standing.REFUSED for each in behind)
        found[stage.name] = replace(stage, standing=Standing.REFUSED) if lost else stage
    return tuple(found.values())


def keys(checked: Checked) -> tuple[KeyUse, ...]:
    """Return the keys that signed something on the disk, in the order of the chain."""
    return (*_loader_keys(checked), *_fit_keys(checked), *_policy_key(checked))


def _loaders(checked: Checked) -> Iterator[Stage]:
    artefacts, firmware = checked.device.artefacts, checked.device.firmware
    behind: tuple[str, ...] = ()
    if firmware is not None:
        yield Stage(
            name=_ROM,
            title="Boot ROM",
            holds=f"trusts {firmware.mrk[:_SHORT]}",
            how="immutable",
            standing=checked.standing(good=not checked.wrong(artefacts["rom"].path)),
            level=0,
        )
        good = {bank.entry.name for bank in checked.verdict.banks if bank.good}
        for bank in firmware.banks:
            yield Stage(
                name=bank,
                title=f"FIP, {bank}",
                holds="BL2, BL31, U-Boot",
                how="signed below it",
                standing=checked.standing(good=bank in good),
                behind=(_ROM,),
                level=1,
            )
        behind = firmware.banks
    files = [artefacts[role].path for role in ("bios", "control-dtb") if role in artefacts]
    of_u_boot = any(e.id.startswith(("disk.uboot", "disk.control")) for e in checked.verdict.errors)
    sound = bool(checked.hints) and not of_u_boot and not checked.wrong("U-Boot", *files)
    standing = checked.standing(good=sound)
    if sound and not behind:
        standing = Standing.UNKNOWN
    yield Stage(
        name=_U_BOOT,
        title="U-Boot",
        holds=f"requires {checked.hints or 'no key'}",
        how="in each FIP" if behind else "taken as immutable",
        standing=standing,
        behind=behind,
        level=checked.level - 1,
    )


def _systems(checked: Checked) -> Iterator[Stage]:
    chain = checked.verdict.chain
    there = {fit.slot.name for fit in chain.fits} - chain.refused
    for slot in checked.target.slots:
        yield Stage(
            name=f"fit-{slot.name}",
            title=f"FIT, {slot.boot}",
            holds="kernel, initramfs",
            how=f"signed by {checked.hints or 'no key'}",
            standing=checked.standing(good=slot.name in there),
            behind=(_U_BOOT,),
            level=checked.level,
        )
    opened = {root.name: root.tree.root_hash.hex() for root in chain.roots}
    for slot in checked.target.slots:
        good = slot.root in opened and slot.name in there and not checked.wrong(slot.root)
        yield Stage(
            name=f"root-{slot.name}",
            title=f"Root, {slot.root}",
            holds="on dm-verity",
            how=f"root hash {opened.get(slot.root, 'not known')[:_SHORT]}",
            standing=checked.standing(good=good),
            behind=(f"fit-{slot.name}",),
            level=checked.level + 1,
        )


def _ways(checked: Checked) -> Iterator[Stage]:
    """Yield the way to the data: what approves a boot, and what that opens."""
    if "policy" not in checked.device.artefacts:
        return
    key = checked.target.policy_key
    names = tuple(f"policy-{slot.name}" for slot in checked.target.slots)
    for name, slot in zip(names, checked.target.slots, strict=True):
        yield Stage(
            name=name,
            title=f"Policy, {slot.boot}",
            holds=f"approves slot {slot.name}",
            how=f"signed by {key.fingerprint()[:_SHORT]}" if key else "key not known",
            standing=checked.policy(slot.name),
            level=checked.level,
            aside=True,
        )
    made = any(each.id == _PROVISIONED for each in checked.verdict.findings)
    yield Stage(
        name=_DATA,
        title="Data, LUKS2",
        holds="not looked into" if made else "made at first boot",
        how="key held by the TPM",
        standing=Standing.UNKNOWN if made else Standing.ABSENT,
        behind=names,
        level=checked.level + 1,
        aside=True,
    )


def _loader_keys(checked: Checked) -> Iterator[KeyUse]:
    firmware = checked.device.firmware
    if firmware is None:
        return
    banks = checked.verdict.banks
    found: dict[Key, set[str]] = {}
    for bank in banks:
        for name, fingerprint in bank.verdict.keys.items():
            found.setdefault(name, set()).add(fingerprint)
    good = bool(banks) and all(bank.good for bank in banks)
    for name in Key:
        signed = [row for row in certificates.CHAIN if row.signer is name]
        vouched = next((row.image for row in certificates.CHAIN if name in row.keys.values()), "")
        for fingerprint in sorted(found.get(name, {firmware.mrk} if name is Key.MRK else set())):
            yield KeyUse(
                role=name,
                fingerprint=fingerprint,
                held=f"named by {vouched}" if vouched else "its hash is in the boot ROM",
                signed=tuple(_certificate(row) for row in signed),
                standing=checked.standing(good=good),
            )


def _certificate(row: certificates.Certificate) -> str:
    vouched = ", ".join([*row.keys.values(), *list(row.hashes.values())[:1]])
    return f"{row.image}, for {vouched}"


def _fit_keys(checked: Checked) -> Iterator[KeyUse]:
    chain = checked.verdict.chain
    good = {fit.slot.name for fit in chain.fits} - chain.refused
    slots = checked.target.slots
    required = chain.trust.required("conf")
    standing = checked.standing(good=bool(slots) and good >= {slot.name for slot in slots})
    if chain.trust.any_suffices and len(required) > 1 and standing is Standing.GOOD:
        standing = Standing.UNKNOWN  # Which of them signed is not told.
    for key in required:
        yield KeyUse(
            role=f"fit ({key.hint})",
            fingerprint=key.public_key.fingerprint(),
            held="required in U-Boot's control device tree",
            signed=tuple(f"{slot.configuration} of the FIT in {slot.boot}" for slot in slots),
            standing=standing,
        )


def _policy_key(checked: Checked) -> Iterator[KeyUse]:
    key = checked.target.policy_key
    if key is None:
        return
    slots = checked.target.slots
    good = all(checked.policy(slot.name) is Standing.GOOD for slot in slots)
    yield KeyUse(
        role="policy",
        fingerprint=key.fingerprint(),
        held=checked.policy_from,
        signed=tuple(f"PCR policy in {slot.boot}" for slot in slots),
        standing=checked.policies or checked.standing(good=good),
    )
