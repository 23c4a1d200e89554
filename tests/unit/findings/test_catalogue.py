# SPDX-License-Identifier: MIT
"""The catalogue has what the code makes, and docs/ leads to all of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import bootseal
from bootseal.findings.catalogue import finding, rules, tables
from bootseal.findings.model import Severity
from bootseal.measure.pcr_policy import PCRS

ROOT = Path(bootseal.__path__[0])
DOCS = Path(__file__).parents[3] / "docs"
# Values that are put into an id while a program runs.
HOLE = "HOLE"


def sources() -> list[ast.AST]:
    paths = [path for path in ROOT.rglob("*.py") if path.parent != ROOT / "findings"]
    return [ast.parse(path.read_text()) for path in paths]


def text_of(node: ast.AST) -> str:
    """Return a string of the code, with a mark where something is put in; empty for others."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(text_of(value) or HOLE for value in values)
        case _:
            return ""


def made() -> set[str]:
    """Return the first argument of every call that makes a finding, where it is a string."""
    return {
        text_of(node.args[0])
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"finding", "_finding"}
        and node.args
    } - {""}


def keyed() -> set[str]:
    """Return the keys of tables in the code that look like ids of findings."""
    keys = {
        text_of(key)
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if key is not None
    }
    return {key for key in keys if re.fullmatch(r"(disk|fit|keys|policy|attest)\.[a-z-]+", key)}


def pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(HOLE, r"(\*|[a-z0-9-]+)"))


def test_every_id_in_the_code_is_in_the_catalogue() -> None:
    unknown = [text for text in made() | keyed() if not any(map(pattern(text).fullmatch, rules()))]

    assert unknown == []


def test_every_row_of_the_catalogue_is_made_by_the_code() -> None:
    named = {text_of(node) for tree in sources() for node in ast.walk(tree)}
    patterns = [pattern(text) for text in made() if HOLE in text]

    unmade = [i for i in rules() if i not in named and not any(p.fullmatch(i) for p in patterns)]

    assert unmade == []


def test_no_id_has_two_rows() -> None:
    assert len(rules()) == sum(map(len, tables().values()))


def test_only_the_catalogue_makes_findings() -> None:
    makers = [
        path
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id == "Finding"
    ]

    assert makers == [ROOT / "findings/catalogue.py"]


def test_finding_takes_what_is_left_out_from_its_row() -> None:
    made = finding("disk.alignment", "data", "0x200 is not a multiple of 0x100000")

    assert (made.severity, made.remedy) == (Severity.WARNING, "declare --align 1024")


def test_finding_may_say_otherwise_than_its_row() -> None:
    made = finding("disk.alignment", "data", "moved", severity=Severity.ERROR, remedy="")

    assert (made.severity, made.remedy) == (Severity.ERROR, "")


def test_finding_of_a_family_has_the_row_of_the_family() -> None:
    assert finding("pcr.9", "PCR 9", "differs").severity is Severity.ERROR


def test_finding_of_an_unknown_id_is_a_fault() -> None:
    with pytest.raises(KeyError):
        finding("disk.nonsense", "disk", "nothing")


def test_remedy_of_a_token_names_the_pcrs_that_policies_are_over() -> None:
    assert "+".join(map(str, PCRS)) in rules()["disk.data-token"].remedy


def test_docs_link_to_every_table() -> None:
    text = "".join(page.read_text() for page in DOCS.glob("*.md"))

    assert set(re.findall(r"findings/catalogue\.md#([a-z-]+)\)", text)) == set(tables())
