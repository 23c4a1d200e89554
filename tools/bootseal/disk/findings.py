# SPDX-License-Identifier: MIT
"""How the judges of a disk say what they found."""

from __future__ import annotations

from bootseal.findings.model import Finding, Severity


def finding(
    name: str,
    severity: Severity,
    where: str,
    message: str,
    *,
    offset: int | None = None,
    expected: str = "",
    observed: str = "",
    remedy: str = "",
) -> Finding:
    """Make a finding; `name` is its id without `disk.`."""
    return Finding(
        id=f"disk.{name}",
        severity=severity,
        where=where,
        message=message,
        offset=offset,
        expected=expected,
        observed=observed,
        remedy=remedy,
    )
