# SPDX-License-Identifier: MIT
"""The documents say what the tree says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests import floors
from tests.benchmarks import boot_chart
from tests.unit.test_repository import tracked

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "*/README.md", "tools/bootseal/findings/*.md")
    for path in ROOT.glob(pattern)
)
EXAMPLE = re.compile(r"^ *```(sh|console)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
"""An example for a shell: with `console`, its commands have a prompt in front."""


def test_drawing_of_the_floors_is_that_of_the_contracts() -> None:
    assert floors.DRAWING.read_text() == floors.draw(), "run: python -m tests.floors"


def test_drawing_of_boot_times_is_that_of_the_table() -> None:
    result = boot_chart.read(boot_chart.PAGE.read_text())
    assert boot_chart.DRAWING.read_text() == boot_chart.draw(result)
    assert boot_chart.table(result) in boot_chart.PAGE.read_text()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for name, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if "://" in name:
            continue
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(
        r"`((?:tests|tools|ci|docs|kas|keys-template|meta-secureboot)/[\w./-]+)`", page.read_text()
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_of_a_page_are_short(page: Path) -> None:
    """All but those of tables and examples."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in text.splitlines() if len(line) > 120 and line[0] not in "|!"] == []


def run_together(text: str) -> list[str]:
    """Return the lines of a page's shell examples in which an editor joined what were several."""
    joined = re.compile(r"\\ |(?<![\w/.+-])bootseal (?=[a-z]).*(?<![\w/.+-])bootseal(?= [a-z]|$)")
    return [
        line
        for _, each in EXAMPLE.findall(text)
        for line in each.splitlines()
        if joined.search(line)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_have_lines_of_their_own(page: Path) -> None:
    assert run_together(page.read_text()) == []


def test_commands_that_an_editor_joined_are_found() -> None:
    good = "```sh\nbootseal keys show a\nbootseal keys audit \\\n  a\n```\n"
    assert run_together(good) == []
    assert len(run_together(good.replace("\nbootseal keys audit", " bootseal keys audit"))) == 1
    assert len(run_together(good.replace("\\\n", "\\ "))) == 1


HABITS = {
    "is not a": r"(?<![Tt]here )\b(?:is|are|was|were) no (?!longer|more|later|less|fewer|larger)\w",
    "fix, remedy": r"\b[Mm]end(?:s|ed|ing)?\b",
    "they": r"\b(?:he|him|his|himself)\b",
    "check, verify": r"\b[Jj]udg\w+",
    "next to": r"\b[Bb]eside\b",
    "is": r"\b[Ss]tands?\b(?! alone| for| in |-in)|\blies\b",
    "anyone who": r"\b[Ww]hoever\b|(?:^|[.;:(] )[Ww]ho (?:can|has|holds|reads|writes)\b",
    "anyone": r"\b(?:[Ss]omebody|[Ee]verybody|[Aa]nybody)\b",
}
READ = (".md", ".py", ".sh", ".inc", ".bb", ".bbappend", ".bbclass", ".conf", ".patch", ".service")


def test_english_is_not_translated() -> None:
    """A fragment in backquotes is code or a name, and may say what it likes."""
    habits = {better: re.compile(habit) for better, habit in HABITS.items()}
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}, better {better!r}"
        for path in tracked()
        if path.suffix in READ and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for better, habit in habits.items()
        if (match := habit.search(re.sub(r"`[^`]*`", "", line)))
    ]
    assert found == []
