# SPDX-License-Identifier: MIT
"""Findings: what is wrong with an input, or worth knowing about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(StrEnum):
    """How much a finding matters; an `ERROR` refuses the input."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Rule(NamedTuple):
    """What every finding with one id has in common: a row of the catalogue.

    Attributes:
        id: Stable identifier such as `fit.image-hash`; one that ends in `.*` is a family.
        meaning: What is wrong, for tables and code scanners, in Markdown.
        remedy: What to do about it; empty when nothing helps.
        severity: How much it matters, where the finding does not say otherwise.
    """

    id: str
    meaning: str
    remedy: str
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or worth knowing about an input.

    Attributes:
        id: Stable identifier such as `fit.image-hash`, for filters and reports.
        severity: How much it matters.
        where: The place, for example `/images/kernel-1/hash-1` or `root-a`.
        message: One sentence that names what was observed and what was expected.
        offset: Bytes from the start of the input, where the place has one.
        expected: What should be there, in short; empty when `message` says it all.
        observed: What is there.
        remedy: What to do about it; empty when nothing helps.
    """

    id: str
    severity: Severity
    where: str
    message: str
    offset: int | None = None
    expected: str = ""
    observed: str = ""
    remedy: str = ""


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that refuse the input."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)


def refuse(findings: Iterable[Finding], what: str) -> None:
    """Raise when there are errors.

    Args:
        findings: The findings.
        what: What they refuse, the beginning of the message.

    Raises:
        VerificationRefused: There are; the message names the first and how many.
    """
    found = errors(findings)
    if not found:
        return
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise VerificationRefused(
        f"{what}: {first.id} at {first.where}: {first.message}{more}", hint=first.remedy
    )
