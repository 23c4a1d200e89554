# SPDX-License-Identifier: MIT
"""The verdict on a disk for code scanners.

Spec: OASIS SARIF 2.1.0.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import bootseal
from bootseal.findings.catalogue import rule
from bootseal.findings.model import Finding, Severity
from bootseal.text import visible

if TYPE_CHECKING:
    from bootseal.check.document import DiskReport

_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(report: DiskReport) -> str:
    """Return the findings as one SARIF run; places in the disk are byte offsets."""
    rules = [_rule(name) for name in sorted({each.id for each in report.findings})]
    driver = {"name": "bootseal", "version": bootseal.__version__, "rules": rules}
    results = [_result(each, report.name) for each in report.findings]
    run = {"tool": {"driver": driver}, "results": results}
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2) + "\n"


def _rule(identifier: str) -> dict[str, object]:
    """Describe an id as the catalogue does."""
    row = rule(identifier)
    meaning, words = row.meaning.replace("`", ""), identifier.replace(".", "-").split("-")
    remedy = f"\n\nWhat to do: {row.remedy}" if row.remedy else ""
    return {
        "id": identifier,
        "name": "".join(word.capitalize() for word in words),
        "shortDescription": {"text": meaning},
        "fullDescription": {"text": f"{meaning[0].upper()}{meaning[1:]}."},
        "help": {"text": meaning + remedy, "markdown": row.meaning + remedy},
        "defaultConfiguration": {"level": _LEVELS[row.severity]},
    }


def _result(found: Finding, disk: str) -> dict[str, object]:
    where = visible(found.where)
    place: dict[str, object] = {"artifactLocation": {"uri": visible(disk)}}
    if found.offset is not None:
        place["region"] = {"byteOffset": found.offset, "byteLength": 0}
    return {
        "ruleId": found.id,
        "level": _LEVELS[found.severity],
        "message": {"text": f"{where}: {visible(found.message)}"},
        "locations": [
            {"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": where}]}
        ],
        "properties": {
            "expected": visible(found.expected),
            "observed": visible(found.observed),
            "remedy": visible(found.remedy),
        },
    }
