# SPDX-License-Identifier: MIT
"""How the judges of a FIT say what they found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.errors import VerificationRefused
from bootseal.events import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable


def error(name: str, where: str, message: str) -> Finding:
    """Make a finding that refuses the FIT; `name` is its id without `fit.`."""
    return Finding(id=f"fit.{name}", severity=Severity.ERROR, where=where, message=message)


def warning(name: str, where: str, message: str) -> Finding:
    """Make a finding that is worth a look; `name` is its id without `fit.`."""
    return Finding(id=f"fit.{name}", severity=Severity.WARNING, where=where, message=message)


def info(name: str, where: str, message: str) -> Finding:
    """Make a finding that is good to know; `name` is its id without `fit.`."""
    return Finding(id=f"fit.{name}", severity=Severity.INFO, where=where, message=message)


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that refuse the FIT."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)


def refuse(findings: Iterable[Finding], what: str) -> None:
    """Raise when there are errors.

    Raises:
        VerificationRefused: There are; the message names the first and how many.
    """
    found = errors(findings)
    if not found:
        return
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise VerificationRefused(f"{what}: {first.id} at {first.where}: {first.message}{more}")
