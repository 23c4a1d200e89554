# SPDX-License-Identifier: MIT
"""One self-contained HTML page: no network, no script, printable, light and dark.

The page depends on the document and its logs alone, so the same run gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

import jinja2

import bootseal
from bootseal.report.chart import TimeLine, time_line

if TYPE_CHECKING:
    from bootseal.report.document import Matrix, Scenario, Sighting, Step

MARKS: Final = {"passed": "\N{CHECK MARK}", "failed": "\N{MULTIPLICATION X}", "inconclusive": "?"}
WORDS: Final = {"passed": "PASSED", "failed": "FAILED", "inconclusive": "INCONCLUSIVE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _StepView:
    step: Step
    anchor: str
    line: TimeLine
    seen: tuple[tuple[Sighting, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScenarioView:
    scenario: Scenario
    anchor: str
    share: float
    steps: tuple[_StepView, ...]


def page(matrix: Matrix) -> str:
    """Return the whole report as one HTML document."""
    loader = jinja2.PackageLoader("bootseal.report", "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    colours: dict[str, int] = {}
    longest = max((result.duration for result in matrix.results), default=0.0) or 1.0
    views = [_view(i, result, longest, colours) for i, result in enumerate(matrix.results, 1)]
    return environment.get_template("matrix.html").render(
        matrix=matrix,
        groups=[
            (group, list(members)) for group, members in groupby(views, lambda v: v.scenario.group)
        ],
        colours=colours,
        marks=MARKS,
        words=WORDS,
        duration=_duration,
        version=bootseal.__version__,
    )


def _view(
    number: int, scenario: Scenario, longest: float, colours: dict[str, int]
) -> _ScenarioView:
    anchor = f"s{number}"
    return _ScenarioView(
        scenario=scenario,
        anchor=anchor,
        share=round(100 * scenario.duration / longest, 1),
        steps=tuple(
            _StepView(
                step=step,
                anchor=f"{anchor}-{i}",
                line=time_line(step, colours),
                seen=_locate(step),
            )
            for i, step in enumerate(scenario.steps, 1)
        ),
    )


def _locate(step: Step) -> tuple[tuple[Sighting, int], ...]:
    """Pair every sighting with the number of its line in the log, or 0 when it is not there."""
    found = []
    start = 0
    for sighting in step.seen:
        wanted = sighting.line.strip()
        number = 0
        for i in range(start, len(step.log)):
            if wanted and wanted in step.log[i]:
                number, start = i + 1, i
                break
        found.append((sighting, number))
    return tuple(found)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
