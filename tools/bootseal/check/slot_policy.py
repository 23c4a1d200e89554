# SPDX-License-Identifier: MIT
"""The PCR policy in the tail of a slot's boot partition."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bootseal.errors import FormatError, UsageError
from bootseal.findings.catalogue import finding
from bootseal.formats import boot_partition
from bootseal.formats.uboot.binary import version_string
from bootseal.measure import firmware, pcr_policy
from bootseal.measure.predict import Prediction, predict

if TYPE_CHECKING:
    from bootseal.check.expected import Expected
    from bootseal.check.firmware import Bank
    from bootseal.check.slot_fit import SlotFit
    from bootseal.disk.hash_tree import Readable
    from bootseal.findings.model import Finding
    from bootseal.formats.tpm.eventlog import Event


Predictions = Mapping[str, tuple[Prediction, ...]]
"""What a slot will measure, by its name: one prediction for each boot loader of the disk."""


def check_policies(
    disk: Readable, target: Expected, fits: Sequence[SlotFit], banks: Sequence[Bank] = ()
) -> tuple[dict[str, list[Finding]], Predictions]:
    """Return what is wrong with the PCR policy of each slot, by the slot's name.

    It must approve what the slot will measure, with the boot loader of either bank; it may approve
    what other slots will.

    Args:
        disk: The disk.
        target: Knows the policy key, and the predictions of the build.
        fits: The FITs of all slots.
        banks: The boot loaders that a boot ROM starts, and those that releases bring.

    Returns:
        The findings, and what each slot will measure.
    """
    predictions: dict[str, tuple[Prediction, ...]] = {}
    findings: dict[str, list[Finding]] = {}
    loaders = _boot_loaders(target, banks)
    for fit in fits:
        name = fit.slot.name
        try:
            predictions[name] = tuple(
                predict(fit.strict, fit.slot.configuration, version=version, before=before)
                for version, before in loaders
            )
            if _is_unknown(target, predictions[name][0]):
                predictions[name] = (predict(fit.strict, fit.slot.configuration),)
            findings[name] = list(_compare(fit, predictions[name][0]))
            findings[name] += _declared(target, fit, predictions[name][0])
        except FormatError as error:
            findings[name] = [_finding("disk.prediction", fit, error.message)]
    for fit in fits:
        if fit.slot.name in predictions:
            findings[fit.slot.name] += check_policy(disk, target, fit, predictions)
    return findings, predictions


def _boot_loaders(
    target: Expected, banks: Sequence[Bank]
) -> list[tuple[bytes | None, tuple[Event, ...]]]:
    """Return U-Boot's version string, and what was measured before it, for each boot loader."""
    found: list[tuple[bytes | None, tuple[Event, ...]]] = []
    later: list[tuple[bytes | None, tuple[Event, ...]]] = []
    for bank in banks:
        if bank.good:
            images = firmware.images(bank.fip)
            (later if bank.brought else found).append(
                (version_string(images["bios"]), firmware.events(images))
            )
    if not found and target.device is not None and target.directory is not None:
        found = [(target.version, firmware.of_device(target.device, target.directory))]
    every = [*(found or [(target.version, ())]), *later]
    # Each once; those that start today first.
    return [each for number, each in enumerate(every) if each not in every[:number]]


def _is_unknown(target: Expected, own: Prediction) -> bool:
    """Tell whether a boot ROM starts something that nothing describes: PCR 0 is not known then."""
    return target.firmware is None and own.firmware_version is not None


def _declared(target: Expected, fit: SlotFit, own: Prediction) -> Iterator[Finding]:
    """Yield when what the release says of the boot ROM is not true of the device."""
    declared = own.firmware_version
    message = ""
    if target.firmware is not None:
        if declared is None:
            message = "it does not declare that its data policy covers the boot loader, PCR 0"
        elif declared > target.firmware.counter:
            message = (
                f"it is for boot loaders of version {declared} or higher: those in the banks have "
                f"{target.firmware.counter}, and would no longer start once it is found good"
            )
    elif target.device is not None and declared is not None:
        message = "it is for a device with a boot ROM, which this is not"
    if message:
        yield finding("disk.firmware-version", fit.entry.name, message, offset=fit.entry.offset)


def check_policy(
    disk: Readable, target: Expected, fit: SlotFit, predictions: Predictions
) -> list[Finding]:
    """Return what is wrong with the PCR policy of one slot.

    Args:
        disk: The disk, or one that is changed in memory.
        target: Knows the policy key.
        fit: The FIT of the slot.
        predictions: What each slot will measure, by its name.
    """
    if target.policy_key is None:
        message = "the PCR policy is not checked: no policy key is known"
        return [finding("disk.policy-unchecked", fit.entry.name, message)]
    if _is_unknown(target, predictions[fit.slot.name][0]):
        message = "the PCR policy is not checked: it is not known what the boot ROM starts"
        return [finding("disk.policy-unchecked", fit.entry.name, message)]
    own = fit.slot.configuration
    every = [each for slot in predictions.values() for each in slot]
    try:
        text = boot_partition.parse_policy(disk.read(fit.policy_offset, boot_partition.POLICY_SIZE))
        problems = pcr_policy.inspect(text, target.policy_key, every)
        # What other slots measure may be approved here, and need not be.
        kept = [p for p in problems if p.id != "policy.missing" or p.where == own]
        return [_place(fit, each) for each in kept]
    except (FormatError, UsageError) as error:
        return [_finding("disk.policy", fit, error.message)]


def _compare(fit: SlotFit, own: Prediction) -> Iterator[Finding]:
    """Compare a prediction with that of the build."""
    values = {f"{index}": value for index, value in own.pcrs.items()}
    for index, expected in fit.slot.pcrs.items():
        # Without U-Boot's version string there is no PCR 0 to compare.
        if index == "0" and 0 not in own.pcrs:
            continue
        value = values.get(index)
        observed = value.hex() if value else "nothing"
        if observed != expected:
            message = f"PCR {index} will be {observed}: the build predicted {expected}"
            yield _finding("disk.pcr", fit, message, expected, observed)


def _place(fit: SlotFit, each: Finding) -> Finding:
    where = f"{fit.entry.name}: PCR policy, {each.where}"
    return dataclasses.replace(each, where=where, offset=fit.policy_offset)


def _finding(
    identifier: str, fit: SlotFit, message: str, expected: str = "", observed: str = ""
) -> Finding:
    return finding(
        identifier,
        f"{fit.entry.name}: PCR policy",
        message,
        offset=fit.policy_offset,
        expected=expected,
        observed=observed,
    )
