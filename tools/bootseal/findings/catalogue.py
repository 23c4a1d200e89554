# SPDX-License-Identifier: MIT
"""The catalogue, `catalogue.md`: every finding there is, once, and what makes a finding of it."""

from __future__ import annotations

import functools
from pathlib import Path

from bootseal.findings.model import Finding, Rule, Severity


@functools.cache
def tables() -> dict[str, list[Rule]]:
    """Return the rows by the name of their table; the file is read for the first finding."""
    found: dict[str, list[Rule]] = {}
    name = ""
    for line in Path(__file__).with_suffix(".md").read_text().splitlines():
        if line.startswith("## "):
            name = line.removeprefix("## ")
        elif line.startswith("| `"):
            cells = (cell.strip() for cell in line.strip("|").split("|"))
            identifier, severity, meaning, remedy = cells
            row = Rule(identifier.strip("`"), meaning, remedy, Severity(severity))
            found.setdefault(name, []).append(row)
    return found


@functools.cache
def rules() -> dict[str, Rule]:
    """Return the rows by id."""
    return {row.id: row for table in tables().values() for row in table}


def rule(identifier: str) -> Rule:
    """Return the row of an id.

    Raises:
        KeyError: There is none; a test holds the ids in the code against the catalogue.
    """
    family = f"{identifier.partition('.')[0]}.*"
    return rules().get(identifier) or rules()[family]


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
