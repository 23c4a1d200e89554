# SPDX-License-Identifier: MIT
"""Reports on a disk: rules as the catalogue has them, and nothing of the disk unescaped."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from bootseal.check.coverage import CheckedBy, DiskRegion
from bootseal.check.document import DiskReport
from bootseal.findings.catalogue import finding
from bootseal.protection import State
from bootseal.report import disk_html, junit, sarif

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.findings.model import Finding

EVIL = "</pre><script>alert(1)</script> \x1b[2J \x00 \u202e \ufffe \ud800 &lt;"


def report(*findings: Finding, text: str = "plain") -> DiskReport:
    region = DiskRegion(
        name=text, partition=text, start=0, end=8, state=State.SIGNED, kind=CheckedBy.FIT
    )
    return DiskReport(
        device=text, name=text, size=8, findings=findings, partitions=(), map=(region,)
    )


def evil() -> DiskReport:
    found = finding("disk.gap", EVIL, EVIL, offset=512, expected=EVIL, observed=EVIL, remedy=EVIL)
    return report(found, text=EVIL)


@pytest.mark.parametrize("draw", [disk_html.page, disk_html.drawing, junit.disk])
def test_hostile_text_is_escaped(draw: Callable[[DiskReport], str]) -> None:
    text = draw(evil())

    assert "<script>" not in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ufffe\ud800]", text)
    assert r"\x1b[2J" in text


def test_hostile_text_in_sarif_shows_escapes() -> None:
    (result,) = json.loads(sarif.sarif(evil()))["runs"][0]["results"]

    for text in (result["message"]["text"], *result["properties"].values()):
        assert text.isprintable()
        assert r"\x1b[2J" in text


@pytest.mark.parametrize("draw", [disk_html.drawing, junit.disk])
def test_hostile_text_stays_well_formed(draw: Callable[[DiskReport], str]) -> None:
    ET.fromstring(draw(evil()))  # noqa: S314 - our own text


def test_sarif_rule_says_what_the_catalogue_does() -> None:
    found = finding("disk.gpt-primary", "primary GPT", "malformed", offset=512)

    run = json.loads(sarif.sarif(report(found, found)))["runs"][0]

    remedy = "\n\nWhat to do: write the disk again; sgdisk --verify shows more"
    meaning = "the primary GPT is malformed, has a wrong checksum, or is not at the LBA it declares"
    assert run["tool"]["driver"]["rules"] == [
        {
            "id": "disk.gpt-primary",
            "name": "DiskGptPrimary",
            "shortDescription": {"text": meaning},
            "fullDescription": {"text": f"T{meaning[1:]}."},
            "help": {"text": meaning + remedy, "markdown": meaning + remedy},
            "defaultConfiguration": {"level": "error"},
        }
    ]


def test_sarif_help_is_markdown_and_plain_text() -> None:
    found = finding("disk.root-unreadable", "root-a", "damaged")
    marked = finding("disk.artefact", "u-boot.bin", "another file")

    rules = json.loads(sarif.sarif(report(found, marked)))["runs"][0]["tool"]["driver"]["rules"]

    assert "`u-boot.bin`" in rules[0]["help"]["markdown"]
    assert "`" not in rules[0]["help"]["text"]


def test_sarif_result_without_a_place_has_no_region() -> None:
    found = finding("disk.duplicate", "root-a", "two partitions have this name")

    (result,) = json.loads(sarif.sarif(report(found)))["runs"][0]["results"]

    assert "region" not in result["locations"][0]["physicalLocation"]
    assert result["properties"]["remedy"] == "write the disk again; sgdisk --verify shows more"


def test_page_lists_errors_first() -> None:
    warning = finding("disk.gap", "root-b", "2 MiB are in no partition")
    error = finding("disk.missing", "root-a", "it is not there")

    page = disk_html.page(report(warning, error))

    assert page.index("disk.missing") < page.index("disk.gap")
    assert "1 errors, 1 warnings, 0 remarks" in page
