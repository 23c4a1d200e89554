# SPDX-License-Identifier: MIT
"""Time lines are to scale, and name what has room."""

from __future__ import annotations

import pytest

from bootseal.boot.machine.events import Ending, Phase
from bootseal.boot.scenario.model import Outcome, StepResult
from bootseal.report import timeline


@pytest.mark.parametrize(
    ("duration", "step"), [(0.4, 0.1), (9.0, 1.0), (42.0, 5.0), (900.0, 120.0), (9000.0, 900.0)]
)
def test_axis_step_gives_at_most_ten_marks(duration: float, step: float) -> None:
    assert timeline.axis_step(duration) == step


def step_of(*phases: Phase, duration: float = 10.0) -> StepResult:
    return StepResult(
        title="boot",
        ending=Ending.UP,
        verdict=Outcome.PASSED,
        reason="",
        duration=duration,
        resets=0,
        seen=(),
        findings=(),
        status={},
        phases=phases,
        log="",
    )


def test_time_line_is_to_scale_and_ends_at_the_right_edge() -> None:
    phases = (
        Phase(name="kernel", start=0.0, end=2.5),
        Phase(name="system", start=2.5, end=10.0),
    )

    line = timeline.time_line(step_of(*phases), {})

    assert [(bar.x, bar.width) for bar in line.bars] == [(0.0, 250.0), (250.0, 750.0)]
    assert line.axis[-1].x == timeline.WIDTH


def test_time_line_leaves_out_phases_without_duration() -> None:
    colours: dict[str, int] = {}

    line = timeline.time_line(step_of(Phase(name="up", start=3.0, end=3.0)), colours)

    assert line.bars == ()
    assert colours == {}


def test_time_line_gives_a_phase_the_same_colour_in_every_step() -> None:
    colours: dict[str, int] = {}
    kernel = Phase(name="kernel", start=1.0, end=2.0)
    system = Phase(name="system", start=2.0, end=3.0)

    timeline.time_line(step_of(kernel, system), colours)
    again = timeline.time_line(step_of(system), colours)

    assert again.bars[0].colour == 1


def test_time_line_labels_only_bars_that_are_wide_enough() -> None:
    short = Phase(name="initramfs", start=0.0, end=0.1)
    long = Phase(name="system", start=0.1, end=10.0)

    line = timeline.time_line(step_of(short, long), {})

    assert [bar.label for bar in line.bars] == ["", "system"]


def test_time_line_of_nothing_has_an_axis() -> None:
    assert timeline.time_line(step_of(duration=0.0), {}).axis
