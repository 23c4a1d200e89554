# SPDX-License-Identifier: MIT
"""JUnit XML for CI: of a boot matrix, and of the verdict on a disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from bootseal.boot.scenario.model import MatrixResult, Outcome, ScenarioResult
from bootseal.findings.model import Severity
from bootseal.report import serial_log
from bootseal.text import visible

if TYPE_CHECKING:
    from bootseal.check.document import DiskReport

# Printable or surrogates, and yet not XML 1.0.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAIL_LINES: Final = 200


def matrix(result: MatrixResult, logs: Path) -> str:
    """Return a run as one document, a suite per group of scenarios.

    A failure is a failed test, an inconclusive scenario an error.

    Args:
        result: The run.
        logs: Directory that the paths of serial logs are relative to.

    Raises:
        FormatError: A serial log is outside of that directory.
    """
    root = ET.Element("testsuites", _totals(result.results) | {"name": "bootseal boot matrix"})
    for group in dict.fromkeys(each.group for each in result.results):
        members = tuple(each for each in result.results if each.group == group)
        about = {"name": _text(group), "timestamp": _text(result.started)}
        suite = ET.SubElement(root, "testsuite", _totals(members) | about)
        properties = ET.SubElement(suite, "properties")
        for name, value in {"device": result.device, "profile": result.profile}.items():
            ET.SubElement(properties, "property", {"name": name, "value": _text(value)})
        for each in members:
            _case(suite, each, result.device, logs)
    return _document(root)


def _totals(results: tuple[ScenarioResult, ...]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(r.verdict is Outcome.FAILED for r in results)),
        "errors": str(sum(r.verdict is Outcome.INCONCLUSIVE for r in results)),
        "skipped": "0",
        "time": f"{sum(r.duration for r in results):.3f}",
    }


def _case(suite: ET.Element, result: ScenarioResult, device: str, logs: Path) -> None:
    about = {
        "name": _text(result.id),
        "classname": _text(f"{device}.{result.group}"),
        "time": f"{result.duration:.3f}",
    }
    case = ET.SubElement(suite, "testcase", about)
    if result.verdict is Outcome.PASSED:
        return
    kind = "failure" if result.verdict is Outcome.FAILED else "error"
    message = _text(result.reason or result.observed)
    mark = ET.SubElement(case, kind, {"type": result.verdict, "message": message})
    mark.text = _lines(result.title, f"expected: {result.expected}", f"observed: {result.observed}")
    output = [
        line
        for step in result.steps
        if step.verdict is not Outcome.PASSED
        for line in (
            f"== {step.title}: {step.ending}",
            *serial_log.lines(step.log, logs)[-_TAIL_LINES:],
        )
    ]
    ET.SubElement(case, "system-out").text = _lines(*output)


def disk(report: DiskReport) -> str:
    """Return a test case for each error, which failed, and each warning; one good one otherwise."""
    cases = [each for each in report.findings if each.severity is not Severity.INFO]
    failures = sum(each.severity is Severity.ERROR for each in cases)
    totals = {"tests": str(max(len(cases), 1)), "failures": str(failures), "errors": "0"}
    root = ET.Element("testsuites", {"name": "bootseal disk check", **totals})
    suite = ET.SubElement(root, "testsuite", {"name": _text(report.name), **totals})
    for each in cases:
        about = {"name": _text(f"{each.id} {each.where}"), "classname": "bootseal.disk"}
        case = ET.SubElement(suite, "testcase", about)
        if each.severity is Severity.ERROR:
            about = {"type": each.id, "message": _text(each.message)}
            mark = ET.SubElement(case, "failure", about)
        else:
            mark = ET.SubElement(case, "system-out")
        mark.text = _lines(
            each.message,
            f"expected: {each.expected}",
            f"observed: {each.observed}",
            each.remedy,
        )
    if not cases:
        ET.SubElement(suite, "testcase", {"name": "accepted", "classname": "bootseal.disk"})
    return _document(root)


def _document(root: ET.Element) -> str:
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _text(text: str) -> str:
    """Return text of others, harmless, and without what XML 1.0 has no room for."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", visible(text))


def _lines(*lines: str) -> str:
    return "\n".join(map(_text, lines))
