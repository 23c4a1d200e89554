# SPDX-License-Identifier: MIT
"""JUnit XML for CI: a failure is a failed test, an inconclusive scenario an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from bootseal.report.document import Matrix, Scenario

# `visible` has escaped controls already; these are printable or surrogates and yet not XML 1.0.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAIL_LINES: Final = 200


def junit(matrix: Matrix) -> str:
    """Return the run as one `testsuites` document, a suite per group of scenarios."""
    root = ET.Element("testsuites", _totals(matrix.results) | {"name": "bootseal boot matrix"})
    for group in dict.fromkeys(result.group for result in matrix.results):
        members = tuple(result for result in matrix.results if result.group == group)
        suite = ET.SubElement(
            root, "testsuite", _totals(members) | {"name": group, "timestamp": matrix.started}
        )
        properties = ET.SubElement(suite, "properties")
        for name, value in {"device": matrix.device, "profile": matrix.profile}.items():
            ET.SubElement(properties, "property", {"name": name, "value": value})
        for result in members:
            _case(suite, result, matrix.device)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _totals(results: tuple[Scenario, ...]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(r.verdict == "failed" for r in results)),
        "errors": str(sum(r.verdict == "inconclusive" for r in results)),
        "skipped": "0",
        "time": f"{sum(r.duration for r in results):.3f}",
    }


def _case(suite: ET.Element, result: Scenario, device: str) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "name": result.id,
            "classname": clean(f"{device}.{result.group}"),
            "time": f"{result.duration:.3f}",
        },
    )
    if result.verdict == "passed":
        return
    kind = "failure" if result.verdict == "failed" else "error"
    mark = ET.SubElement(
        case, kind, {"type": result.verdict, "message": clean(result.reason or result.observed)}
    )
    mark.text = clean(f"{result.title}\nexpected: {result.expected}\nobserved: {result.observed}")
    output = ET.SubElement(case, "system-out")
    output.text = clean(
        "\n".join(
            f"== {step.title}: {step.ending}\n" + "\n".join(step.log[-_TAIL_LINES:])
            for step in result.steps
            if step.verdict != "passed"
        )
    )


def clean(text: str) -> str:
    """Replace what XML 1.0 has no room for."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
