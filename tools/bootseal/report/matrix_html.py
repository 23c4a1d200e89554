# SPDX-License-Identifier: MIT
"""One self-contained HTML page: no network, no script, printable, light and dark.

The page depends on the result and its logs alone, so the same run gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from bootseal.boot.scenario.model import MatrixResult, Outcome, ScenarioResult, StepResult
from bootseal.report import serial_log
from bootseal.report.html import fill
from bootseal.report.timeline import TimeLine, time_line
from bootseal.text import visible

if TYPE_CHECKING:
    from bootseal.boot.machine.events import Sighting

_MARKS: Final = {
    Outcome.PASSED: "\N{CHECK MARK}",
    Outcome.FAILED: "\N{MULTIPLICATION X}",
    Outcome.INCONCLUSIVE: "?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _StepView:
    step: StepResult
    anchor: str
    line: TimeLine
    log: tuple[str, ...]
    seen: tuple[tuple[Sighting, int], ...]
    status: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScenarioView:
    scenario: ScenarioResult
    anchor: str
    share: float
    steps: tuple[_StepView, ...]


def page(result: MatrixResult, logs: Path) -> str:
    """Return the whole report as one HTML document.

    Args:
        result: The run.
        logs: Directory that the paths of serial logs are relative to.

    Raises:
        FormatError: A serial log is outside of that directory.
    """
    colours: dict[str, int] = {}
    longest = max((each.duration for each in result.results), default=0.0) or 1.0
    views = [
        _ScenarioView(
            scenario=each,
            anchor=f"s{number}",
            share=round(100 * each.duration / longest, 1),
            steps=tuple(
                _step(step, f"s{number}-{i}", logs, colours) for i, step in enumerate(each.steps, 1)
            ),
        )
        for number, each in enumerate(result.results, 1)
    ]
    values = {
        "matrix": result,
        "groups": [(group, list(of)) for group, of in groupby(views, lambda v: v.scenario.group)],
        "colours": colours,
        "marks": _MARKS,
        "outcomes": list(Outcome),
        "duration": _duration,
    }
    return fill("matrix.html", values)


def _step(step: StepResult, anchor: str, logs: Path, colours: dict[str, int]) -> _StepView:
    log = serial_log.lines(step.log, logs)
    status = json.dumps(step.status, indent=2) if step.status else ""
    return _StepView(
        step=step,
        anchor=anchor,
        line=time_line(step, colours),
        log=log,
        seen=_locate(step.seen, log),
        status=escape(status),
    )


def _locate(seen: Iterable[Sighting], log: Sequence[str]) -> tuple[tuple[Sighting, int], ...]:
    """Pair every sighting with the number of its line in the log, or 0 when it is not there."""
    found = []
    start = 0
    for sighting in seen:
        wanted = visible(sighting.line).strip()
        number = 0
        for i in range(start, len(log)):
            if wanted and wanted in log[i]:
                number, start = i + 1, i
                break
        found.append((sighting, number))
    return tuple(found)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
