# SPDX-License-Identifier: MIT
"""All that is known of a release as one self-contained HTML page, for screens, telephones, paper.

The page depends on the dossier alone, so the same release gives the same bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bootseal.boot.scenario.model import Outcome
from bootseal.dossier.model import Course, Standing
from bootseal.findings.model import Severity
from bootseal.measure.predict import MEANINGS
from bootseal.protection import MEANINGS as PROTECTION
from bootseal.protection import State
from bootseal.report import chain_map
from bootseal.report.disk_map import rows
from bootseal.report.html import fill
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bootseal.dossier.model import Dossier
    from bootseal.findings.model import Finding

_MARKS: Final = {
    Standing.GOOD: "\N{CHECK MARK}",
    Standing.UNKNOWN: "?",
    Standing.ABSENT: "\N{EN DASH}",
    Standing.REFUSED: "\N{MULTIPLICATION X}",
}
_CLASSES: Final = {
    Standing.GOOD: "good",
    Standing.UNKNOWN: "unknown",
    Standing.ABSENT: "absent",
    Standing.REFUSED: "refused",
}
_VERDICTS: Final = {
    Standing.GOOD: "VERIFIED",
    Standing.UNKNOWN: "INCOMPLETE",
    Standing.REFUSED: "REFUSED",
}
_TONES: Final = {
    Outcome.PASSED: "good",
    Outcome.FAILED: "refused",
    Outcome.INCONCLUSIVE: "unknown",
}
_PACKAGES: Final = 400
"""Rows of a bill that are shown."""


def page(dossier: Dossier) -> str:
    """Return the whole report as one HTML document."""
    ranks = list(Severity)
    of_evidence = () if dossier.evidence is None else dossier.evidence.findings
    findings = sorted(
        dict.fromkeys([*dossier.disk.findings, *of_evidence, *dossier.findings]),
        key=lambda each: ranks.index(each.severity),
    )
    values: Mapping[str, object] = {
        "it": dossier,
        "release": None if dossier.evidence is None else dossier.evidence.release,
        "verdict": _VERDICTS[dossier.standing],
        "marks": _MARKS,
        "classes": _CLASSES,
        "findings": [each for each in findings if each.severity is not Severity.INFO],
        "remarks": [each for each in findings if each.severity is Severity.INFO],
        "counts": _counts(findings),
        "drawings": {
            "wide": chain_map.wide(dossier.stages),
            "narrow": chain_map.narrow(dossier.stages),
        },
        "rows": rows(dossier.disk),
        "states": [(state, dossier.disk.total(state), PROTECTION[state]) for state in State],
        "meanings": {str(index): text for index, text in MEANINGS.items()},
        "outcomes": list(Outcome),
        "courses": list(Course),
        "same": Course.SAME,
        "worse": {Course.BROKEN, Course.OTHER, Course.GONE},
        "tones": _TONES,
        "packages": _PACKAGES,
        "built": _date(dossier.device.epoch),
        "format_size": format_size,
    }
    return fill("release.html", values)


def _counts(findings: Iterable[Finding]) -> dict[str, int]:
    found = list(findings)
    return {each.value: sum(f.severity is each for f in found) for each in Severity}


def _date(seconds: int) -> str:
    """Return the day of a build; any other number is shown as it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return str(seconds)
