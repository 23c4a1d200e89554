# SPDX-License-Identifier: MIT
"""The verdict on a disk for code scanners (SARIF) and for CI (JUnit).

Spec: OASIS SARIF 2.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import bootseal
from bootseal.report.document import dump
from bootseal.report.junit import clean

if TYPE_CHECKING:
    from bootseal.report.disk_document import DiskVerdict, Found

_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}
_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(verdict: DiskVerdict) -> str:
    """Return the findings as one SARIF run; places in the disk are byte offsets."""
    rules = [{"id": name} for name in sorted({each.id for each in verdict.findings})]
    driver = {"name": "bootseal", "version": bootseal.__version__, "rules": rules}
    results = [_result(each, verdict.name) for each in verdict.findings]
    run = {"tool": {"driver": driver}, "results": results}
    return dump({"$schema": _SARIF, "version": "2.1.0", "runs": [run]})


def _result(found: Found, disk: str) -> dict[str, object]:
    place: dict[str, object] = {"artifactLocation": {"uri": disk}}
    if found.offset >= 0:
        place["region"] = {"byteOffset": found.offset, "byteLength": 0}
    return {
        "ruleId": found.id,
        "level": _LEVELS[found.severity],
        "message": {"text": f"{found.where}: {found.message}"},
        "locations": [
            {
                "physicalLocation": place,
                "logicalLocations": [{"fullyQualifiedName": found.where}],
            }
        ],
        "properties": {
            "expected": found.expected,
            "observed": found.observed,
            "remedy": found.remedy,
        },
    }


def junit(verdict: DiskVerdict) -> str:
    """Return a test case for each error, which failed, and each warning; one good one otherwise."""
    cases = [each for each in verdict.findings if each.severity != "info"]
    failures = sum(each.severity == "error" for each in cases)
    totals = {"tests": str(max(len(cases), 1)), "failures": str(failures), "errors": "0"}
    root = ET.Element("testsuites", {"name": "bootseal disk check", **totals})
    suite = ET.SubElement(root, "testsuite", {"name": clean(verdict.name), **totals})
    for each in cases:
        name = clean(f"{each.id} {each.where}")
        case = ET.SubElement(suite, "testcase", {"name": name, "classname": "bootseal.disk"})
        text = clean(f"{each.message}\nexpected: {each.expected}\nobserved: {each.observed}")
        if each.severity == "error":
            mark = ET.SubElement(case, "failure", {"type": each.id, "message": clean(each.message)})
        else:
            mark = ET.SubElement(case, "system-out")
        mark.text = f"{text}\n{clean(each.remedy)}"
    if not cases:
        ET.SubElement(suite, "testcase", {"name": "accepted", "classname": "bootseal.disk"})
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'
