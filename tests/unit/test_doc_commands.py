# SPDX-License-Identifier: MIT
"""Commands that documents, help texts and messages tell to type are there, with these options.

An example has to be whole: the tool's own parser takes it. In a text there may be a part of a
command, of which words and options are looked up.
"""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from tests.unit.cli.test_signing_options import commands
from tests.unit.test_docs import EXAMPLE, PAGES, ROOT
from typer._click.exceptions import UsageError
from typer.main import get_command

from bootseal.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ: Final = [*PAGES, *sorted(ROOT.glob("tests/*/README.md"))]
COMMANDS: Final = dict(commands(get_command(app)))
NOUNS: Final = {name.split()[0] for name in COMMANDS}
SCRIPTS: Final = {
    path.name: path
    for path in sorted((ROOT / "meta-secureboot").rglob("files/bootseal-*"))
    if not path.suffix
}
"""Commands of the device; their verbs are the patterns of a `case`."""
BLOCK: Final = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
QUOTED: Final = re.compile(r"`([^`]+)`")
TOLD: Final = re.compile(r"(?:^|: |`| and )(bootseal [a-z](?:(?! and bootseal | Example: )[^`])*)")
HELP: Final = re.compile(r"^Example: (bootseal .*)", re.MULTILINE)
PROMPT: Final = re.compile(r"^[$#] ")


class Typed(NamedTuple):
    """A command as it is to be typed, and where that is written."""

    where: str
    words: tuple[str, ...]


def words_of(line: str) -> tuple[str, ...]:
    """Return the words of a command without comment, variables, and what it is piped to.

    >>> words_of("A=1 sudo ci/fresh 13 'a b' >file   # why")
    ('ci/fresh', '13', 'a b')
    >>> words_of("nonce=$(bootseal identity challenge dev-1)  # verifier")
    ('bootseal', 'identity', 'challenge', 'dev-1')
    """
    line = re.sub(r"^\w+=\$\((.*?)\)", r"\1", line.strip())
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return ()
    while words and (words[0] == "sudo" or re.match(r"\w+=", words[0])):
        del words[0]
    ends = (n for n, word in enumerate(words) if re.match(r"[|>;&]", word))
    return tuple(words[: next(ends, len(words))])


def examples(page: Path) -> Iterator[Typed]:
    """Give the commands of a page's examples."""
    for kind, example in EXAMPLE.findall(page.read_text()):
        for line in re.sub(r"\\\n *", "", example).splitlines():
            found = line.strip()
            if kind == "sh" or PROMPT.match(found):
                command = PROMPT.sub("", found) if kind == "console" else found
                yield Typed(str(page.relative_to(ROOT)), words_of(command))


def mentions(page: Path) -> Iterator[Typed]:
    """Give what a page quotes in its text."""
    for paragraph in re.split(r"\n\s*\n", BLOCK.sub("", page.read_text())):
        for found in QUOTED.findall(" ".join(paragraph.split())):
            yield Typed(str(page.relative_to(ROOT)), words_of(found.replace(r"\|", "|")))


def told() -> Iterator[Typed]:
    """Give what the tool's own texts tell to type: hints, messages and help."""
    for path in sorted((ROOT / "tools/bootseal").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for found in TOLD.findall(" ".join(node.value.split())):
                    yield Typed(f"{path.relative_to(ROOT)}:{node.lineno}", words_of(found))


def options(command: str) -> set[str]:
    """Return the options of a command of the tool, or of all commands of a group of it."""
    return {"--help", "-h"} | {
        option
        for name, found in COMMANDS.items()
        if f"{name} ".startswith(f"{command} ")
        for parameter in found.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


def unknown(words: tuple[str, ...]) -> list[str]:
    """Return which words of a part of a command of the tool are none: names and options."""
    noun, *rest = words
    if noun not in NOUNS:
        return [noun]
    verbs = [""]
    if noun not in COMMANDS and rest and not rest[0].startswith("-"):
        verbs = rest[0].strip(",.;:").split("|")
    wrong = [f"{noun} {verb}" for verb in verbs if verb and f"{noun} {verb}" not in COMMANDS]
    known = options(f"{noun} {verbs[0]}".strip())
    given = (word.strip(",.;:()").partition("=")[0] for word in rest if word.startswith("-"))
    return wrong or [each for each in given if each not in known]


def refusal(words: tuple[str, ...]) -> str:
    """Return what the tool's parser says of a whole command line; nothing if it takes it."""
    name = next((each for each in (" ".join(words[:2]), words[0]) if each in COMMANDS), "")
    if not name:
        return "no such command"
    try:
        COMMANDS[name].make_context(name, list(words[len(name.split()) :]))
    except UsageError as error:
        return error.format_message()
    return ""


def missing(words: tuple[str, ...]) -> list[str]:
    """Return what is not there of a command that is a part of this repository."""
    program, *rest = words
    if program == "kas":
        named = [name for word in rest if word.startswith("kas/") for name in word.split(":")]
        return [name for name in named if not (ROOT / name).is_file()]
    if program == "pytest":
        return [word for word in rest if word.startswith("tests/") and not (ROOT / word).exists()]
    if program in SCRIPTS and rest and re.fullmatch(r"[a-z|-]+", rest[0]):
        cases = re.findall(r"^\t*([^#\n]*)\)(?: |$)", SCRIPTS[program].read_text(), re.MULTILINE)
        verbs = rest[0].split("|")
        return [verb for verb in verbs if not re.search(rf"\b{verb}\b", " ".join(cases))]
    files: list[Path] = []
    if words[:2] == ("python", "-m") and rest[1:] and rest[1].startswith("tests"):
        place = ROOT / rest[1].replace(".", "/")
        if not place.with_suffix(".py").is_file() and not (place / "__main__.py").is_file():
            return [rest[1]]
        # Its options may be those of another module of its folder.
        files = [*place.parent.glob("*.py"), *place.glob("*.py")]
    elif program.startswith("ci/"):
        if not (ROOT / program).exists():
            return [program]
        files = [ROOT / program] if (ROOT / program).is_file() else []
    text = "\n".join(each.read_text() for each in files)
    given = (word.partition("=")[0] for word in rest if files and word.startswith("--"))
    return [each for each in given if each not in text and each != "--help"]


def label(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", READ, ids=label)
def test_commands_of_a_page_are_in_examples_for_a_shell(page: Path) -> None:
    """In no block of another kind, where nothing would look at them."""
    others = BLOCK.findall(EXAMPLE.sub("", page.read_text()))
    lines = [line for each in others for line in each.splitlines()]
    assert [
        line for line in lines if re.match(r" *[$#]? ?(bootseal |python -m |ci/\w)", line)
    ] == []


@pytest.mark.parametrize("page", READ, ids=label)
def test_examples_of_a_page_can_be_typed(page: Path) -> None:
    found = []
    for where, words in examples(page):
        whole = "..." not in words
        if words[:1] == ("bootseal",) and (
            why := refusal(words[1:]) if whole else unknown(words[1:])
        ):
            found.append((where, words, why))
        elif words and (gone := missing(words)):
            found.append((where, words, gone))
    assert found == []


@pytest.mark.parametrize("page", READ, ids=label)
def test_commands_that_a_page_quotes_are_there(page: Path) -> None:
    found = []
    for where, words in mentions(page):
        if words[:1] == ("bootseal",) and len(words) > 1 and words[1].isalpha():
            found += [(where, words, each) for each in unknown(words[1:])]
        elif words:
            found += [(where, words, each) for each in missing(words)]
    assert found == []


def test_commands_that_the_tool_tells_to_type_are_there() -> None:
    found = [(*each, wrong) for each in told() for wrong in unknown(each.words[1:])]
    assert found == []


def test_examples_of_the_help_can_be_typed() -> None:
    lines = [line for command in COMMANDS.values() for line in HELP.findall(command.help or "")]
    assert len(lines) > 30
    assert [(line, why) for line in lines if (why := refusal(words_of(line)[1:]))] == []


def test_commands_that_are_not_there_are_found() -> None:
    assert refusal(("keys", "generate", "--profile", "dev", "keys")) == ""
    assert refusal(("keys", "make", "keys")) == "no such command"
    assert "--profil " in refusal(("keys", "generate", "--profil", "dev", "keys")) + " "
    assert "Missing" in refusal(("disk", "check"))
    assert unknown(("keys", "rotate|revoke", "keys", "--role", "fit")) == []
    assert unknown(("keys", "rotate|forget")) == ["keys forget"]
    assert unknown(("fit", "sign", "FIT", "--colour=red")) == ["--colour"]
    assert missing(("bootseal-identity", "create")) == []
    assert missing(("bootseal-identity", "forget")) == ["forget"]
    assert missing(("python", "-m", "tests.floors")) == []
    assert missing(("python", "-m", "tests.benchmarks", "fleet", "--cows", "5")) == ["--cows"]
    assert missing(("python", "-m", "tests.ceilings")) == ["tests.ceilings"]
    assert missing(("ci/check", "--fast")) == []
    assert missing(("ci/check", "--fastest")) == ["--fastest"]
    assert missing(("kas", "build", "kas/qemuarm64.yml:kas/none.yml")) == ["kas/none.yml"]
    assert missing(("pytest", "tests/unit", "tests/none")) == ["tests/none"]
