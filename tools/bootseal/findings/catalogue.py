# SPDX-License-Identifier: MIT
"""The catalogue: every finding there is, once. The tables in docs/ are generated from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.findings import contents, device, disk, fit, keys
from bootseal.findings.model import Finding

if TYPE_CHECKING:
    from bootseal.findings.model import Rule, Severity

TABLES: Final[dict[str, tuple[Rule, ...]]] = {
    "disk-layout": disk.LAYOUT,
    "disk-chain": disk.CHAIN,
    "disk-uboot": disk.UBOOT,
    "disk-contents": contents.CONTENTS,
    "fit": fit.FIT,
    "keys": keys.KEYS,
    "policy": device.POLICY,
    "attest": device.ATTEST,
    "status": device.STATUS,
}
"""The rows by the name of the table in docs/ that shows them."""

FINDINGS: Final = {rule.id: rule for rules in TABLES.values() for rule in rules}
"""The rows by id."""


def rule(identifier: str) -> Rule:
    """Return the row of an id.

    Raises:
        KeyError: There is none; a test holds the ids in the code against the catalogue.
    """
    family = f"{identifier.partition('.')[0]}.*"
    return FINDINGS.get(identifier) or FINDINGS[family]


def finding(
    identifier: str,
    where: str,
    message: str,
    *,
    offset: int | None = None,
    expected: str = "",
    observed: str = "",
    remedy: str | None = None,
    severity: Severity | None = None,
) -> Finding:
    """Make a finding; the arguments are its attributes, and its row gives what is left out."""
    row = rule(identifier)
    return Finding(
        id=identifier,
        severity=row.severity if severity is None else severity,
        where=where,
        message=message,
        offset=offset,
        expected=expected,
        observed=observed,
        remedy=row.remedy if remedy is None else remedy,
    )
