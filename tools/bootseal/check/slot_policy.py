# SPDX-License-Identifier: MIT
"""The PCR policy in the tail of a slot's boot partition."""

from __future__ import annotations

import base64
import dataclasses
from typing import TYPE_CHECKING, Final

from bootseal.disk.findings import finding
from bootseal.errors import FormatError, UsageError
from bootseal.findings.model import Severity
from bootseal.measure import pcr_policy
from bootseal.measure.predict import predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bootseal.check.expected import Target
    from bootseal.check.slot_fit import SlotFit
    from bootseal.disk.hash_tree import Readable
    from bootseal.findings.model import Finding
    from bootseal.measure.predict import Prediction

_REMEDY: Final = "sign the policy for this FIT again: bootseal measure sign"


def check_policies(
    disk: Readable, target: Target, fits: Sequence[SlotFit]
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
    version = target.version
    for fit in fits:
        name = fit.slot.name
        try:
            predictions[name] = predict(fit.data, fit.slot.configuration, version=version)
            findings[name] = list(_compare(fit, predictions[name]))
        except FormatError as error:
            findings[name] = [_error("prediction", fit, error.message)]
    for fit in fits:
        if fit.slot.name in predictions:
            findings[fit.slot.name] += check_policy(disk, target, fit, predictions)
    return findings


def check_policy(
    disk: Readable, target: Target, fit: SlotFit, predictions: Mapping[str, Prediction]
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
        remedy = "name the key with --policy-key"
        return [
            finding("policy-unchecked", Severity.WARNING, fit.entry.name, message, remedy=remedy)
        ]
    own = fit.slot.configuration
    offset = fit.entry.end - pcr_policy.TAIL_SIZE
    try:
        text = pcr_policy.from_tail(disk.read(offset, pcr_policy.TAIL_SIZE))
        problems = pcr_policy.inspect(text, target.policy_key, predictions.values())
        # What other slots measure may be approved here, and need not be.
        kept = [p for p in problems if p.id != "policy.missing" or p.where == own]
        return [*(_place(fit, each, offset) for each in kept), *_spelling(fit, text)]
    except (FormatError, UsageError) as error:
        return [_error("policy", fit, error.message)]


def _compare(fit: SlotFit, own: Prediction) -> Iterator[Finding]:
    """Compare a prediction with that of the build."""
    for index, expected in fit.slot.pcrs.items():
        # Without U-Boot's version string there is no PCR 0 to compare.
        if index == "0" and 0 not in own.pcrs:
            continue
        value = own.pcrs.get(int(index)) if index.isdecimal() else None
        observed = value.hex() if value else "nothing"
        if observed != expected:
            yield dataclasses.replace(
                _error(
                    "pcr",
                    fit,
                    f"PCR {index} will be {observed}: the build predicted {expected}",
                ),
                expected=expected,
                observed=observed,
            )


def _spelling(fit: SlotFit, text: bytes) -> Iterator[Finding]:
    """Say when a signature is written as nobody writes it: unused bits of base64 that are set."""
    for entries in pcr_policy.parse(text).values():
        for number, entry in enumerate(entries):
            if base64.b64encode(base64.b64decode(entry["sig"])).decode() != entry["sig"]:
                message = f"entry {number}: 'sig' is not written as base64 is"
                yield _error("policy", fit, message)


def _place(fit: SlotFit, each: Finding, offset: int) -> Finding:
    where = f"{fit.entry.name}: PCR policy, {each.where}"
    return dataclasses.replace(each, where=where, offset=offset, remedy=_REMEDY)


def _error(name: str, fit: SlotFit, message: str) -> Finding:
    return finding(
        name,
        Severity.ERROR,
        f"{fit.entry.name}: PCR policy",
        message,
        offset=fit.entry.end - pcr_policy.TAIL_SIZE,
        remedy=_REMEDY,
    )
