# SPDX-License-Identifier: MIT
"""The rendered reports: verdicts where CI looks for them, and nothing of the device unescaped."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from bootseal.boot.machine.events import Ending, Phase, Sighting
from bootseal.boot.scenario.model import MatrixResult, Outcome, ScenarioResult, StepResult
from bootseal.findings.model import Finding, Severity
from bootseal.report import junit, matrix_html
from bootseal.report.write import write_matrix

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "</pre><script>alert(1)</script> \x1b[2J \x00 \u202e \ufffe \ud800 &lt;"


def result(number: int, verdict: str, *, text: str = "plain") -> ScenarioResult:
    step = StepResult(
        title=text,
        ending=Ending.UP,
        verdict=Outcome(verdict),
        reason=text,
        duration=3.5,
        resets=0,
        seen=(Sighting(time=1.0, name="u-boot", detail=text, line=text),),
        findings=(Finding(id=text, severity=Severity.ERROR, where=text, message=text),),
        status={"note": text},
        phases=(
            Phase(name="U-Boot", start=0.0, end=2.0),
            Phase(name=text, start=2.0, end=3.5),
        ),
        log="serial.log",
    )
    return ScenarioResult(
        id=f"case-{number}",
        title=text,
        group=text,
        about=text,
        verdict=Outcome(verdict),
        expected=text,
        observed=text,
        reason=text,
        duration=3.5,
        steps=(step,),
    )


def run(*results: ScenarioResult, text: str = "plain") -> MatrixResult:
    return MatrixResult(
        device=text,
        profile="dev",
        roots={"a": "5" * 64},
        started="2026-11-22T07:20:00Z",
        duration=12.0,
        versions={text: text},
        results=results,
    )


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "serial.log").write_text("before\nplain\nafter\n")
    return tmp_path


class Outline(HTMLParser):
    """Collects the tags, ids, addresses and text of a page and checks that tags are balanced."""

    VOID = frozenset({"meta", "br"})

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
    three = run(result(1, "passed"), result(2, "failed"), result(3, "inconclusive"))

    root = ET.fromstring(junit.matrix(three, logs))  # noqa: S314 - our own text

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

    text = junit.matrix(run(result(1, "failed", text=EVIL), text=EVIL), logs)

    assert "<script>" not in text
    assert "\x1b" not in text
    ET.fromstring(text)  # noqa: S314 - our own text


def test_page_is_self_contained_and_its_links_resolve(logs: Path) -> None:
    text = matrix_html.page(run(result(1, "passed"), result(2, "failed")), logs)

    outline = Outline(text)
    assert not outline.open
    assert not outline.tags & {"script", "link", "img", "iframe"}
    assert outline.links
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert len(set(outline.ids)) == len(outline.ids)
    assert not re.search(r"https?://|url\(|@import", text)


def test_page_links_a_sighting_to_its_log_line(logs: Path) -> None:
    text = matrix_html.page(run(result(1, "passed")), logs)

    assert 'href="#s1-1-L2">plain</a>' in text
    assert '<li id="s1-1-L2">plain</li>' in text


def test_page_hostile_text_is_escaped(logs: Path) -> None:
    (logs / "serial.log").write_text(EVIL, errors="surrogatepass")

    text = matrix_html.page(run(result(1, "failed", text=EVIL), text=EVIL), logs)

    outline = Outline(text)
    assert "script" not in outline.tags
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ufffe]", text)
    assert r"\x1b[2J" in text


def test_page_names_every_verdict_in_words(logs: Path) -> None:
    three = run(result(1, "passed"), result(2, "failed"), result(3, "inconclusive"))

    text = matrix_html.page(three, logs)

    assert [word in text for word in ("PASSED", "FAILED", "INCONCLUSIVE")] == [True] * 3


def test_page_without_scenarios_renders_as_inconclusive(logs: Path) -> None:
    assert "INCONCLUSIVE" in matrix_html.page(run(), logs)


def test_verdict_of_empty_run_is_inconclusive() -> None:
    assert run().verdict is Outcome.INCONCLUSIVE


def test_verdict_of_a_run_is_that_of_the_worst_scenario() -> None:
    matrix = run(result(1, "passed"), result(2, "inconclusive"), result(3, "failed"))

    assert matrix.verdict is Outcome.FAILED
    assert [matrix.count(outcome) for outcome in Outcome] == [1, 1, 1]


@pytest.mark.parametrize("kind", ["json", "junit", "html"])
def test_same_result_twice_gives_the_same_bytes(logs: Path, kind: str) -> None:
    same = run(result(1, "passed"), result(2, "failed"))
    files = [logs / "first", logs / "second"]

    for file in files:
        write_matrix(same, kind, file, logs=logs)

    assert files[0].read_bytes() == files[1].read_bytes()


def test_json_is_the_document_of_the_result(logs: Path) -> None:
    same = run(result(1, "failed", text=EVIL))

    write_matrix(same, "json", logs / "matrix.json", logs=logs)

    written = json.loads((logs / "matrix.json").read_text())
    assert written["schema"] == "bootseal.matrix/3"
    assert written == json.loads(json.dumps(same.document()))
