# SPDX-License-Identifier: MIT
"""The page about a release: whole, the same for the same, and nothing of others unescaped."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.unit.report import dossiers as samples
from tests.unit.report.dossiers import EVIL
from tests.unit.report.test_matrix_reports import Outline

from bootseal.dossier.model import Stage, Standing
from bootseal.report import chain_map, release_html


def test_hostile_text_is_escaped() -> None:
    page = release_html.page(samples.made_up(EVIL))
    assert "<script>" not in page
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ufffe\ud800]", page)
    assert r"\x1b[2J" in page
    page.encode()


@pytest.mark.parametrize("text", [EVIL, "plain"])
def test_page_needs_nothing_else(text: str) -> None:
    outline = Outline(release_html.page(samples.made_up(text)))
    assert outline.open == []
    assert "script" not in outline.tags
    assert "img" not in outline.tags
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.links
    assert all(link.startswith("#") and link[1:] in outline.ids for link in outline.links)


def test_same_release_gives_the_same_page() -> None:
    assert release_html.page(samples.made_up("a")) == release_html.page(samples.made_up("a"))


@pytest.mark.parametrize(
    ("standing", "word"),
    [
        (Standing.GOOD, "VERIFIED"),
        (Standing.UNKNOWN, "INCOMPLETE"),
        (Standing.ABSENT, "INCOMPLETE"),
        (Standing.REFUSED, "REFUSED"),
    ],
)
def test_one_part_decides_about_the_whole(standing: Standing, word: str) -> None:
    made = samples.made_up("a")
    good = [replace(each, standing=Standing.GOOD) for each in made.parts]
    parts = (*good[:-1], replace(good[-1], standing=standing))
    page = release_html.page(replace(made, parts=parts))
    assert f"<title>{word} " in page
    assert ("<title>VERIFIED" in page) == (standing is Standing.GOOD)


def test_absent_parts_are_said_to_be() -> None:
    bare = replace(
        samples.made_up("a"), approved=None, matrix=None, bills=(), evidence=None, statements=0
    )
    page = release_html.page(bare)
    for words in (
        "no result of the boot matrix",
        "no approved list",
        "no bill of materials",
        "no signed statements",
        "No verified evidence says which release this is",
    ):
        assert words in page
    assert "3 statements, and no public key was given" in release_html.page(
        replace(bare, statements=3)
    )


def stage(name: str, level: int, *behind: str, aside: bool = False) -> Stage:
    return Stage(
        name=name,
        title=f"{name} " * 20,
        holds="b" * 200,
        how="c",
        standing=Standing.GOOD,
        behind=behind,
        level=level,
        aside=aside,
    )


@pytest.mark.parametrize("layout", [chain_map.wide, chain_map.narrow])
def test_boxes_are_inside_and_apart(layout: object) -> None:
    assert callable(layout)
    stages = [
        stage("rom", 0),
        *(stage(f"fw-{n}", 1, "rom") for n in range(3)),
        stage("u-boot", 2, "fw-0", "fw-1", "fw-2"),
        *(stage(f"fit-{n}", 3, "u-boot") for n in range(12)),
        *(stage(f"policy-{n}", 3, aside=True) for n in range(2)),
        stage("data", 4, "policy-0", aside=True),
    ]
    drawn = layout(stages)
    boxes = drawn.boxes
    assert len(boxes) == 16  # Of twelve on one level eight are shown.
    for box in boxes:
        assert 0 <= box.x <= box.x + box.width <= drawn.width + 0.1
        assert 0 <= box.y <= box.y + box.height <= drawn.height + 0.1
        assert all(len(line) * 6 < box.width for line in (box.title, *box.lines))
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
            apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert apart_x or apart_y
    assert len(drawn.arrows) == 3 + 3 + 8 + 1


@pytest.mark.parametrize("layout", [chain_map.wide, chain_map.narrow])
def test_nothing_is_a_drawing_too(layout: object) -> None:
    assert callable(layout)
    assert layout([]).boxes == ()
