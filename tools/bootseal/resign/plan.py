# SPDX-License-Identifier: MIT
"""Late signing: what a finished disk becomes when its signatures are replaced by other keys'.

The build farm holds no keys that matter; the disk is signed where they are, in seconds. Kernel,
initramfs, device trees and roots stay as they are, and so do the PCR values and the data that
devices in the field have sealed to the policy key.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.check import slot_fit
from bootseal.check.rootfs import check as rootfs
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.fit import control_dtb
from bootseal.fit.resign import Resigning, ask, resign
from bootseal.fit.verify.verdict import verify
from bootseal.formats import boot_partition
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm
from bootseal.measure import firmware as measured
from bootseal.measure import pcr_policy as policy
from bootseal.measure.predict import predict
from bootseal.resign import firmware
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bootseal.check.expected import Expected
    from bootseal.check.slot_fit import SlotFit
    from bootseal.disk.image import Disk
    from bootseal.disk.partitions import Table
    from bootseal.firmware.chain import Key
    from bootseal.formats.tpm.eventlog import Event
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer
    from bootseal.measure.predict import Prediction
    from bootseal.resign.firmware import Renewed

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """The signer, and what to sign.

    Attributes:
        fit: Signs the FITs.
        hint: That key's name in FIT and control device tree.
        algorithm: How it signs.
        policy: Signs the PCR policies; None leaves them as they are.
        trust: Whether U-Boot shall require this key, and no other, from now on.
        timestamp: Time of signing, seconds since 1970; None takes that of the old signatures.
        profile: Name of the key profile the device has then; empty leaves it.
        firmware: Signs the boot loaders that a boot ROM starts, by place; empty for a device
            without a boot ROM, and leaves them where U-Boot stays.
    """

    fit: Signer
    hint: str
    algorithm: Algorithm
    policy: Signer | None = None
    trust: bool = False
    timestamp: int | None = None
    profile: str = ""
    firmware: Mapping[Key, Signer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that replace others of the same number on the disk, at `offset`."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What changes.

    Attributes:
        patches: On the disk.
        fits: The signed FITs by slot.
        policies: The signed PCR policies by slot; empty when they stay.
        control: U-Boot as it is then; None when it stays.
        renewed: The boot loaders that a boot ROM starts then; None when they stay.
    """

    patches: tuple[Patch, ...]
    fits: dict[str, bytes]
    policies: dict[str, bytes]
    control: bytes | None
    renewed: Renewed | None = None


def fits_of(disk: Disk, target: Expected, table: Table) -> tuple[SlotFit, ...]:
    """Return the FIT of every slot.

    Raises:
        FormatError: A slot has no partition or no FIT.
    """
    found: list[SlotFit] = []
    for slot in target.slots:
        entry = table.entry(slot.boot)
        if entry is None:
            raise FormatError(f"the disk has no partition {slot.boot}")
        found.append(slot_fit.find(disk, slot, entry, target.memory, found))
    return tuple(found)


def plan(disk: Disk, target: Expected, table: Table, signing: Signing) -> Plan:
    """Sign, and return what changes.

    Args:
        disk: The disk; it is only read.
        target: Knows U-Boot and the slots.
        table: The partitions of the disk.
        signing: The signer, and what to sign.

    Raises:
        FormatError: A slot has no FIT.
        UsageError: A key does not fit, or a signed FIT has no room in its partition.
        VerificationRefused: U-Boot would refuse the result.
        ToolError: A token or service failed.
    """
    if signing.policy is not None:
        _check_policy_key(disk, target, table, signing.policy.public_key)
    control = trusting(target.control, signing) if signing.trust else target.control
    signed: dict[int, bytes] = {}
    patches: list[Patch] = []
    fits = fits_of(disk, target, table)
    for fit in fits:
        shared = id(fit.data)  # by the slots with the same FIT
        if shared not in signed:
            signed[shared] = resign(fit.strict, how(fit, signing))
            _verify(signed[shared], control)
        _log.info("slot %s: FIT of %s, signed as %s", fit.slot.name, fit.slot.boot, signing.hint)
        patches.append(_patch(fit, signed[shared]))
    by_slot = {f.slot.name: signed[id(f.data)] for f in fits}
    policies: dict[str, bytes] = {}
    renewed = None
    if banks := _banks(disk, target, table, signing, control):
        renewed = firmware.renew(target, banks, fits, signing.firmware)
        patches += [Patch(b.entry.offset, b.after.ljust(b.before, b"\0")) for b in banks]
    predictions = _predictions(target, fits, banks)
    if signing.policy is not None:
        policies, tails = _policies(disk, fits, predictions, signing.policy)
        patches += tails
    elif banks:
        _refuse_other_boot_loader(target, fits, predictions)
    return Plan(
        patches=tuple(patches),
        fits=by_slot,
        policies=policies,
        control=control if signing.trust else None,
        renewed=renewed,
    )


def _banks(
    disk: Disk, target: Expected, table: Table, signing: Signing, control: bytes
) -> tuple[firmware.SignedBank, ...]:
    """Return the boot loaders that are signed again, of every bank; nothing when they stay."""
    if signing.firmware:
        return firmware.signed(disk, target, table, signing.firmware, control, trust=signing.trust)
    if signing.trust:
        firmware.refuse_other_u_boot(disk, target, table)
    return ()


def how(fit: SlotFit, signing: Signing) -> Resigning:
    """Return how a slot's FIT is signed; it must still fit its partition."""
    return Resigning(
        signer=signing.fit,
        hint=signing.hint,
        algorithm=signing.algorithm,
        timestamp=signing.timestamp,
        strictness=fit.strictness,
    )


def trusting(control: bytes, signing: Signing) -> bytes:
    """Return U-Boot with the signer's key required, and no other one.

    Raises:
        UsageError: U-Boot is an ELF file, which has no room.
    """
    for key in control_dtb.read_keys(control):
        if key.required:
            control = control_dtb.remove_key(control, key.public_key)
    return control_dtb.add_key(
        control, signing.fit.public_key, hint=signing.hint, algorithm=signing.algorithm.name
    )


def request_all(disk: Disk, target: Expected, table: Table, signing: Signing) -> None:
    """Show the signers every digest that `plan` would have signed.

    Raises:
        FormatError: A slot has no FIT.
        UsageError: A key does not fit.
        VerificationRefused: A FIT has a flaw no signature should cover.
    """
    control = trusting(target.control, signing) if signing.trust else target.control
    banks = _banks(disk, target, table, signing, control)
    fits = fits_of(disk, target, table)
    for fit in {id(fit.data): fit for fit in fits}.values():
        ask(fit.strict, how(fit, signing))
    if signing.policy is not None:
        _check_policy_key(disk, target, table, signing.policy.public_key)
        algorithm = Algorithm.parse(f"sha256,{signing.policy.public_key.kind}")
        for prediction in _predictions(target, fits, banks):
            approved = policy.policy_digest(prediction)
            signing.policy.sign_digest(hashlib.sha256(approved).digest(), algorithm)


def _check_policy_key(disk: Disk, target: Expected, table: Table, key: PublicKey) -> None:
    """Refuse a policy that no device would accept: the root holds the key it is checked with."""
    entry = table.entry(target.slots[0].root)
    pem = None if entry is None else rootfs.policy_key(disk, entry)
    if pem is not None and public.from_pem(pem).fingerprint() != key.fingerprint():
        raise UsageError(
            f"the policy key is {key.fingerprint()}: the root file system trusts another one, so "
            "no device would open its data",
            hint="build the root file system with this policy key's public half",
        )


def _predictions(
    target: Expected, fits: Sequence[SlotFit], banks: Sequence[firmware.SignedBank]
) -> list[Prediction]:
    """Return what each slot measures, with the boot loaders as they are then."""
    version: bytes | None = target.version
    before: tuple[Event, ...] = ()
    if banks:
        version, before = firmware.measured_by(banks)
    elif target.device is not None and target.directory is not None:
        before = measured.of_device(target.device, target.directory)
    return [
        predict(fit.strict, fit.slot.configuration, version=version, before=before) for fit in fits
    ]


def _refuse_other_boot_loader(
    target: Expected, fits: Sequence[SlotFit], predictions: Sequence[Prediction]
) -> None:
    """Refuse to leave a policy as it is that names the boot loaders as they were."""
    present = _predictions(target, fits, ())
    for before, after in zip(present, predictions, strict=True):
        if policy.policy_digest(before) != policy.policy_digest(after):
            raise UsageError(
                "this changes the measurements of the boot loaders, which the data policy covers",
                hint="give the policy key too, so that the policy is signed for them",
            )


def _policies(
    disk: Disk, fits: Sequence[SlotFit], predictions: Sequence[Prediction], signer: Signer
) -> tuple[dict[str, bytes], list[Patch]]:
    """Sign the PCR policy; every slot gets the one that approves them all, as the build does."""
    data = documents.dump(policy.sign(predictions, signer))
    policy.verify(data, signer.public_key, predictions)
    tail = boot_partition.pad_policy(data)
    patches = []
    for fit in fits:
        boot_partition.parse_policy(disk.read(fit.policy_offset, len(tail)))
        patches.append(Patch(fit.policy_offset, tail))
    return {fit.slot.name: data for fit in fits}, patches


def _verify(fit: bytes, control: bytes) -> None:
    try:
        verify(fit, control)
    except VerificationRefused as error:
        raise VerificationRefused(
            f"U-Boot would refuse the signed FIT: {error.message}",
            hint="--trust puts the new key into U-Boot",
        ) from error


def _patch(fit: SlotFit, signed: bytes) -> Patch:
    """Put a signed FIT in place of the old one; what the old one had more becomes zero."""
    if len(signed) > fit.room:
        raise UsageError(
            f"{fit.entry.name} has room for {format_size(fit.room)}: with its new signatures the "
            f"FIT has {format_size(len(signed))}",
            hint="sign with a smaller key, or build a disk with larger boot partitions",
        )
    return Patch(fit.entry.offset, signed.ljust(len(fit.data), b"\0"))
