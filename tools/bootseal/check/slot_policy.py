# SPDX-License-Identifier: MIT
"""The PCR policy in the tail of a slot's boot partition."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bootseal.errors import FormatError, UsageError
from bootseal.findings.catalogue import finding
from bootseal.formats import boot_partition
from bootseal.measure import firmware, pcr_policy
from bootseal.measure.predict import Prediction, predict

if TYPE_CHECKING:
    from bootseal.check.expected import Expected
    from bootseal.check.slot_fit import SlotFit
    from bootseal.disk.hash_tree import Readable
    from bootseal.findings.model import Finding
    from bootseal.formats.tpm.eventlog import Event


def check_policies(
    disk: Readable, target: Expected, fits: Sequence[SlotFit]
) -> dict[str, list[Finding]]:
    """Return what is wrong with the PCR policy of each slot, by the slot's name.

    It must approve what the slot will measure; it may approve what other slots will.

    Args:
        disk: The disk.
        target: Knows the policy key, and the predictions of the build.
        fits: The FITs of all slots.
    """
    predictions: dict[str, Prediction] = {}
    findings: dict[str, list[Finding]] = {}
    version, before = target.version, _before(target)
    for fit in fits:
        name = fit.slot.name
        try:
            predictions[name] = predict(
                fit.strict, fit.slot.configuration, version=version, before=before
            )
            findings[name] = list(_compare(fit, predictions[name]))
        except FormatError as error:
            findings[name] = [_finding("disk.prediction", fit, error.message)]
    for fit in fits:
        if fit.slot.name in predictions:
            findings[fit.slot.name] += check_policy(disk, target, fit, predictions)
    return findings


def _before(target: Expected) -> tuple[Event, ...]:
    if target.device is None or target.directory is None:
        return ()
    return firmware.of_device(target.device, target.directory)


def check_policy(
    disk: Readable, target: Expected, fit: SlotFit, predictions: Mapping[str, Prediction]
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
    own = fit.slot.configuration
    try:
        text = boot_partition.parse_policy(disk.read(fit.policy_offset, boot_partition.POLICY_SIZE))
        problems = pcr_policy.inspect(text, target.policy_key, predictions.values())
        # What other slots measure may be approved here, and need not be.
        kept = [p for p in problems if p.id != "policy.missing" or p.where == own]
        return [_place(fit, each) for each in kept]
    except (FormatError, UsageError) as error:
        return [_finding("disk.policy", fit, error.message)]


def _compare(fit: SlotFit, own: Prediction) -> Iterator[Finding]:
    """Compare a prediction with that of the build."""
    for index, expected in fit.slot.pcrs.items():
        # Without U-Boot's version string there is no PCR 0 to compare.
        if index == "0" and 0 not in own.pcrs:
            continue
        value = own.pcrs.get(int(index)) if index.isdecimal() else None
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
