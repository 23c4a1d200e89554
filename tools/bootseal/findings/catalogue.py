# SPDX-License-Identifier: MIT
"""The catalogue, `catalogue.md`: every finding there is, once, and what makes a finding of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bootseal.findings.model import Finding, Rule, Severity


def _read(lines: Iterable[str]) -> dict[str, list[Rule]]:
    """Read the tables below headings of the second level."""
    tables: dict[str, list[Rule]] = {}
    name = ""
    for line in lines:
        if line.startswith("## "):
            name = line.removeprefix("## ")
        elif line.startswith("| `"):
            cells = (cell.strip() for cell in line.strip("|").split("|"))
            identifier, severity, meaning, remedy = cells
            row = Rule(identifier.strip("`"), meaning, remedy, Severity(severity))
            tables.setdefault(name, []).append(row)
    return tables


TABLES: Final = _read(Path(__file__).with_suffix(".md").read_text().splitlines())
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
