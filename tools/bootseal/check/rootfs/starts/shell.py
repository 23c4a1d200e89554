# SPDX-License-Identifier: MIT
"""Which file a shell script starts: enough of a shell's grammar to find its commands."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs.starts import commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bootseal.check.rootfs.starts.tree import Tree

_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r]+|\\\n)|(?P<comment>(?<![^\s;&|(){}`])#[^\n]*)"
    r"|(?P<end>\n|;;?|&&?|\|\|?|\$?\(\(?|\)|`|(?<![^\s;&|])[{}!](?=\s))"
    r"|(?P<word>(?:'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\.|\$\{[^}\n]{0,999}\}|\$\([^()\n]*\)|[^\s;&|()`'\"\\#]|#|['\"\\$])+)",
    re.DOTALL,
)
_KEYWORDS: Final = re.compile(
    r"if|then|elif|else|fi|while|until|do|done|case|esac|in|\{|\}|!|time|function|coproc"
)
_DECLARE: Final = frozenset({"export", "readonly", "local", "declare", "typeset", "alias"})
_VARIABLE: Final = re.compile(r"\$(?:(\w+)|\{(\w{1,64})(?::?[-=]([^}]{0,999}))?[^}]{0,999}\})")
_INNER: Final = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")
_MAX_DEPTH: Final = 4


def started(tree: Tree, text: str, directory: str = "", depth: int = 0) -> tuple[int, str]:
    """Return the line and the unsigned file that a script starts or reads; 0 and nothing if none.

    Args:
        tree: The root file system.
        text: The script.
        directory: Where it is started, if that is known.
        depth: How many scripts this one is inside of.
    """
    if depth > _MAX_DEPTH:
        return 0, ""
    variables: dict[str, str] = {}

    def scan(inner: str) -> str:
        return started(tree, inner, directory, depth + 1)[1]

    piped = ""
    for line, end, raw in _commands(text):
        words = [_expand(word, variables) for word in raw]
        while words and _KEYWORDS.fullmatch(words[0]):
            words.pop(0)
        found = _command(tree, words, variables, scan, directory)
        bare = len(words) == 1 and commands.is_shell(words[0])
        if found or (bare and piped):
            return line, found or piped
        named = (tree.leads(word.lstrip("<")) for word in words[1:])
        piped = next(filter(None, named), "") if end == "|" else ""
        for word in raw:
            for match in _INNER.finditer(word if not word.startswith("'") else ""):
                if inner := scan(_expand(match[1] or match[2] or "", variables)):
                    return line, inner
    return 0, ""


def _command(
    tree: Tree,
    words: list[str],
    variables: dict[str, str],
    scan: Callable[[str], str],
    directory: str,
) -> str:
    """Return the unsigned file that one command starts, and remember what it assigns."""
    match words:
        case ["for", name, "in", first, *rest]:
            named = [word for word in (first, *rest) if tree.leads(word)]
            variables[name] = (named or [first])[0]
            return ""
        case ["trap", action, *_]:
            return scan(action)
        case _:
            pass
    declared = words[:1] and words[0] in _DECLARE
    assigned = words[1:] if declared else words
    for word in assigned:
        name, equals, value = word.partition("=")
        if equals and re.fullmatch(r"\w+", name):
            variables[name] = value
        elif not declared:
            break
    if declared:
        found = (commands.started(tree, [word], scan) for word in assigned if "=" in word)
        return next(filter(None, found), "")
    shell = words[:1] and commands.is_shell(words[0])
    read = [after for word, after in pairwise(words) if word == "<"] if shell else []
    read += [word[1:] for word in words if shell and word.startswith("<")]
    return next(filter(None, map(tree.leads, read)), "") or commands.started(
        tree, words, scan, directory
    )


def _commands(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line, what ends it, and the words of each command, quotes still there."""
    words: list[str] = []
    line, place = 1, 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            place += 1
            continue
        place = match.end()
        if match["word"]:
            words.append(match["word"])
        elif match["end"]:
            yield line, match["end"], words
            words = []
        line += match[0].count("\n")
    yield line, "", words


def _expand(word: str, variables: dict[str, str]) -> str:
    """Return a word without quotes, the variables in it replaced as far as they are known."""
    if word.startswith("'") and word.endswith("'"):
        return word[1:-1]

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return variables.get(name, match[3] if match[3] is not None else match[0])

    return re.sub(r"[\"']|\\(?=[^\n])", "", _VARIABLE.sub(value, word))
