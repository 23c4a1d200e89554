# SPDX-License-Identifier: MIT
"""The rendered reports: verdicts where CI looks for them, and nothing of the device unescaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from bootseal.errors import FormatError
from bootseal.report import chart, document, render

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "</pre><script>alert(1)</script> \x1b[2J \x00 \u202e \ufffe \ud800 &lt;"


def result(number: int, verdict: str, *, text: str = "plain") -> dict[str, object]:
    step = {
        "title": text,
        "ending": text,
        "verdict": verdict,
        "reason": text,
        "duration": 3.5,
        "resets": 0,
        "seen": [{"time": 1.0, "name": "u-boot", "detail": text, "line": text}],
        "findings": [{"id": text, "severity": "error", "where": text, "message": text}],
        "status": {"note": text},
        "phases": [
            {"name": "U-Boot", "start": 0.0, "end": 2.0},
            {"name": text, "start": 2.0, "end": 3.5},
        ],
        "log": "serial.log",
    }
    names = ("title", "group", "about", "expected", "observed", "reason")
    return {
        "id": f"case-{number}",
        "verdict": verdict,
        "duration": 3.5,
        "steps": [step],
    } | dict.fromkeys(names, text)


def run(*results: dict[str, object], text: str = "plain") -> dict[str, object]:
    return {
        "schema": "bootseal.matrix/2",
        "device": text,
        "profile": "dev",
        "started": "2026-11-22T07:20:00Z",
        "duration": 12.0,
        "versions": {text: text},
        "results": list(results),
    }


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "serial.log").write_text("before\nplain\nafter\n")
    return tmp_path


class Outline(HTMLParser):
    """Collects the tags, ids, addresses and text of a page and checks that tags are balanced."""

    VOID = frozenset({"meta", "line", "rect", "path", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        assert not [name for name in values if name.startswith("on")]
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_junit_verdicts_become_failure_and_error(logs: Path) -> None:
    document_ = run(result(1, "passed"), result(2, "failed"), result(3, "inconclusive"))

    root = ET.fromstring(render.render(document_, "junit", logs=logs))  # noqa: S314 - our own text

    assert root.attrib["tests"] == "3"
    assert root.attrib["failures"] == "1"
    assert root.attrib["errors"] == "1"
    assert [[c.tag for c in case] for case in root.iter("testcase")] == [
        [],
        ["failure", "system-out"],
        ["error", "system-out"],
    ]


def test_junit_hostile_text_stays_well_formed(logs: Path) -> None:
    (logs / "serial.log").write_text(EVIL, errors="surrogatepass")

    text = render.render(run(result(1, "failed", text=EVIL), text=EVIL), "junit", logs=logs)

    assert "<script>" not in text
    assert "\x1b" not in text
    ET.fromstring(text)  # noqa: S314 - our own text


def test_page_is_self_contained_and_its_links_resolve(logs: Path) -> None:
    text = render.render(run(result(1, "passed"), result(2, "failed")), "html", logs=logs)

    outline = Outline(text)
    assert not outline.open
    assert not outline.tags & {"script", "link", "img", "iframe"}
    assert outline.links
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert len(set(outline.ids)) == len(outline.ids)
    assert not re.search(r"https?://|url\(|@import", text)


def test_page_links_a_sighting_to_its_log_line(logs: Path) -> None:
    text = render.render(run(result(1, "passed")), "html", logs=logs)

    assert 'href="#s1-1-L2">plain</a>' in text
    assert '<li id="s1-1-L2">plain</li>' in text


def test_page_hostile_text_is_escaped(logs: Path) -> None:
    (logs / "serial.log").write_text(EVIL, errors="surrogatepass")

    text = render.render(run(result(1, "failed", text=EVIL), text=EVIL), "html", logs=logs)

    outline = Outline(text)
    assert "script" not in outline.tags
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ufffe]", text)
    assert r"\x1b[2J" in text


def test_page_names_every_verdict_in_words(logs: Path) -> None:
    text = render.render(
        run(result(1, "passed"), result(2, "failed"), result(3, "inconclusive")), "html", logs=logs
    )

    assert [word in text for word in ("PASSED", "FAILED", "INCONCLUSIVE")] == [True] * 3


def test_page_without_scenarios_renders_as_inconclusive(logs: Path) -> None:
    assert "INCONCLUSIVE" in render.render(run(), "html", logs=logs)


def test_render_same_document_twice_gives_the_same_bytes(logs: Path) -> None:
    same = run(result(1, "passed"), result(2, "failed"))

    for kind in render.FILES:
        assert render.render(same, kind, logs=logs) == render.render(same, kind, logs=logs)


def test_write_makes_every_format(logs: Path, tmp_path: Path) -> None:
    paths = render.write(run(result(1, "passed")), tmp_path / "out", logs=logs)

    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "matrix.html",
        "matrix.json",
        "matrix.xml",
    ]
    assert document.load(paths["json"])["schema"] == "bootseal.matrix/2"


def test_write_damaged_document_writes_nothing(logs: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        render.write(run({}), tmp_path / "out", logs=logs)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("duration", "step"), [(0.4, 0.1), (9.0, 1.0), (42.0, 5.0), (900.0, 120.0), (9000.0, 900.0)]
)
def test_axis_step_gives_at_most_ten_marks(duration: float, step: float) -> None:
    assert chart.axis_step(duration) == step


def step_of(*phases: document.Phase, duration: float = 10.0) -> document.Step:
    return document.Step(
        title="boot",
        ending="up",
        verdict="passed",
        reason="",
        duration=duration,
        resets=0,
        seen=(),
        findings=(),
        status="",
        phases=phases,
        log=(),
    )


def test_time_line_is_to_scale_and_ends_at_the_right_edge() -> None:
    phases = (
        document.Phase(name="kernel", start=0.0, end=2.5),
        document.Phase(name="system", start=2.5, end=10.0),
    )

    line = chart.time_line(step_of(*phases), {})

    assert [(bar.x, bar.width) for bar in line.bars] == [(0.0, 250.0), (250.0, 750.0)]
    assert line.axis[-1].x == chart.WIDTH


def test_time_line_leaves_out_phases_without_duration() -> None:
    colours: dict[str, int] = {}

    line = chart.time_line(step_of(document.Phase(name="up", start=3.0, end=3.0)), colours)

    assert line.bars == ()
    assert colours == {}


def test_time_line_gives_a_phase_the_same_colour_in_every_step() -> None:
    colours: dict[str, int] = {}
    kernel = document.Phase(name="kernel", start=1.0, end=2.0)
    system = document.Phase(name="system", start=2.0, end=3.0)

    chart.time_line(step_of(kernel, system), colours)
    again = chart.time_line(step_of(system), colours)

    assert again.bars[0].colour == 1


def test_time_line_labels_only_bars_that_are_wide_enough() -> None:
    short = document.Phase(name="initramfs", start=0.0, end=0.1)
    long = document.Phase(name="system", start=0.1, end=10.0)

    line = chart.time_line(step_of(short, long), {})

    assert [bar.label for bar in line.bars] == ["", "system"]


def test_time_line_of_nothing_has_an_axis() -> None:
    assert chart.time_line(step_of(duration=0.0), {}).axis
