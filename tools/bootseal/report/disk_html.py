# SPDX-License-Identifier: MIT
"""The verdict on a disk as one self-contained HTML page, and its map as a separate drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.findings.model import Severity
from bootseal.protection import MEANINGS, State
from bootseal.report.disk_map import rows
from bootseal.report.html import fill
from bootseal.units import format_size

if TYPE_CHECKING:
    from bootseal.check.document import DiskReport


def page(report: DiskReport) -> str:
    """Return the whole report as one HTML document."""
    return _fill("disk.html", report)


def drawing(report: DiskReport) -> str:
    """Return the map as one SVG document."""
    return _fill("disk.svg", report)


def _fill(template: str, report: DiskReport) -> str:
    ranks = list(Severity)
    findings = sorted(report.findings, key=lambda each: ranks.index(each.severity))
    values = {
        "report": report,
        "findings": findings,
        "counts": {s.value: sum(f.severity is s for f in findings) for s in Severity},
        "rows": rows(report),
        "states": [(state, report.total(state), MEANINGS[state]) for state in State],
        "format_size": format_size,
    }
    return fill(template, values)
