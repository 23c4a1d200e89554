# SPDX-License-Identifier: MIT
"""Which file a command line starts.

A program's arguments are data, so a path on /data there is fine. `commands.txt` lists the programs
that start others or read code; for them the argument counts that they would start or read.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs.starts import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bootseal.check.rootfs.starts.tree import Tree


def _read(text: str) -> dict[str, str]:
    """Read the table: kinds by name."""
    rows = (line.split(": ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: kind for kind, names in rows for name in names.split()}


_KINDS: Final = _read(Path(__file__).with_suffix(".txt").read_text())
_STARTER_OPTIONS: Final = ("-x", "--exec", "-a", "--startas", "-l", "--login-program")
_WITH_VALUE: Final = re.compile(
    r"-[ugnpksSCUGaWXoOrIDfFEmLM]|-cp|--?class-?path"
    r"|--(user|group|setenv|property|unit|slice|require|import|rcfile|init-file)"
)
_CODE: Final = {
    True: re.compile(r"-[a-zA-Z]*c|--command|--init-command"),
    False: re.compile(r"-[ceEr]|--eval|--command"),
}
"""Options whose value is code, of shells and of others."""
_CALL: Final = re.compile(
    r"\b(exec\w*|spawn\w*|system|[pP]open|subprocess|run|call|check_call|check_output|__import__"
    r"|import|require|dofile|loadfile|source|sys\.path|dlopen|CDLL|LoadLibrary|@INC|use lib)\b"
)
_MAX_DEPTH: Final = 6
_MAX_FOUND: Final = 2
_PATH: Final = re.compile(r"(?<![\w./$}-])/[\w./@%+:-]+")
_NOT_A_PROGRAM: Final = re.compile(
    r"[0-9.]+[smhd]?|0x[0-9a-fA-F,]+|[A-Za-z_]\w*=.*|\{\}|;|\+|--", re.DOTALL
)


def started(
    tree: Tree, words: Sequence[str], scan: Callable[[str], str], directory: str = ""
) -> str:
    """Return the unsigned file that a command line starts, or nothing.

    Args:
        tree: The root file system.
        words: The command line; words that assign variables may come first.
        scan: Does the same for the text of a shell script.
        directory: Where the command is started, if that is known.
    """
    return _Line(tree, scan, directory).started(list(words))


def is_shell(program: str) -> bool:
    """Tell whether a program, named with or without its directory, is a shell."""
    return _KINDS.get(posixpath.basename(program)) == "shell"


def paths(text: str) -> list[str]:
    """Return the absolute paths in a text."""
    return [path.rstrip(".:,") for path in _PATH.findall(text)]


def code(tree: Tree, text: str) -> str:
    """Return the unsigned file that code of any language names next to a call, or nothing."""
    lines = (line for line in text.splitlines() if _CALL.search(line))
    return _first(tree.leads(path) for line in lines for path in paths(line))


def _first(found: Iterable[str]) -> str:
    return next(filter(None, found), "")


class _Line:
    def __init__(self, tree: Tree, scan: Callable[[str], str], directory: str) -> None:
        self._tree, self._scan, self._directory = tree, scan, directory
        self._depth = 0
        self._by_kind: dict[str, Callable[[str, list[str]], str]] = {
            "shell": self._interpreted,
            "interpreter": self._interpreted,
            "wrapper": self._wrapped,
            "loader": lambda _, words: _first(self._named(word) for word in words),
            "starter": self._options,
            "server": self._server,
            "source": lambda _, words: _first(map(self._leads, words[:1])),
            "eval": lambda _, words: self._scan(" ".join(words)),
            "mount": self._mounted,
            "find": self._found,
        }

    def started(self, words: list[str]) -> str:
        """Return the unsigned file that a command line starts, or nothing."""
        while words and re.match(r"[A-Za-z_]\w*\+?=", words[0]):
            if found := environment.leads(self._tree, words.pop(0)):
                return found
        if not words or self._depth == _MAX_DEPTH:
            return ""
        self._depth += 1
        found = self._program(words)
        self._depth -= 1
        return found

    def _program(self, words: list[str]) -> str:
        program, rest = words[0], words[1:]
        if "/" in program and (found := self._leads(program)):
            return found
        name = posixpath.basename(program)
        kind = _KINDS.get(name) or _KINDS.get(name.rstrip("0123456789.-")) or ""
        if re.match(r"ld(-linux.*|-musl.*)?\.so", name):
            kind = "loader"
        return self._by_kind[kind](name, rest) if kind else ""

    def _leads(self, word: str) -> str:
        if word and not word.startswith(("/", "-", "$", "%")) and self._directory:
            word = f"{self._directory}/{word}"
        return self._tree.leads(word)

    def _named(self, word: str) -> str:
        """Return the unsigned file in a word that may be an option with its value."""
        return _first(map(self._tree.leads, [word, word.rpartition("=")[2], *paths(word[2:])]))

    def _interpreted(self, name: str, words: list[str]) -> str:
        """Return what an interpreter reads: options and what they name, then the script."""
        shell = is_shell(name)
        values = iter(words)
        for word in values:
            if _CODE[shell].fullmatch(word):
                text = next(values, "")
                return self._scan(text) if shell else self._named(text) or code(self._tree, text)
            if word == "-" or not word.startswith(("-", "+")):
                return self._leads(word) or self._named(word)
            value = next(values, "") if _WITH_VALUE.fullmatch(word) else ""
            if found := _first(map(self._named, (word, value))):
                return found
            if word == "-m":
                break
        return ""

    def _wrapped(self, name: str, words: list[str]) -> str:
        """Return what a program starts that starts another one."""
        values = iter(range(len(words)))
        if name in {"su", "runuser"} and "-c" in words:
            return self._scan(" ".join(words[words.index("-c") + 1 :][:1]))
        operands = {"flock": 1, "chroot": 1}.get(name, 0)
        for index in values:
            word = words[index]
            if re.fullmatch(r"-[a-z]*c|-S|--command|--session-command", word) and name != "flock":
                return self._scan(" ".join(words[index + 1 : index + 2]))
            if word.startswith("-") or _NOT_A_PROGRAM.fullmatch(word):
                value = words[index + 1] if index + 1 < len(words) else ""
                with_value = _WITH_VALUE.fullmatch(word) and not self._tree.leads(value)
                assigned = (word, word.partition("=")[2], value if with_value else "")
                if found := _first(environment.leads(self._tree, text) for text in assigned):
                    return found
                if with_value:
                    next(values, None)
            elif operands and not (name == "chroot" and self._leads(word)):
                operands -= 1
            else:
                return self.started(words[index:])
        return ""

    def _options(self, _: str, words: list[str]) -> str:
        """Return the program that an option names."""
        for index, word in enumerate(words):
            option, _, value = word.partition("=")
            if option in _STARTER_OPTIONS:
                program = value or " ".join(words[index + 1 : index + 2])
                rest = words[words.index("--") + 1 :] if "--" in words else []
                if found := self.started([program, *rest]):
                    return found
        return ""

    def _server(self, _: str, words: list[str]) -> str:
        """Return what an SSH server takes its configuration or its users' keys from."""
        for index, word in enumerate(words):
            value = word[2:] or " ".join(words[index + 1 : index + 2])
            if word[:2] in {"-f", "-o", "-D"} and (found := self._named(f"  {value}")):
                return found
        return ""

    def _found(self, _: str, words: list[str]) -> str:
        """Return what `find -exec` starts."""
        options = {"-exec", "-execdir", "-ok", "-okdir"}
        places = [index for index, word in enumerate(words) if word in options][:_MAX_FOUND]
        commands = (words[index + 1 :] for index in places)
        return _first(self.started([words[0] if w == "{}" else w for w in c]) for c in commands)

    def _mounted(self, _: str, words: list[str]) -> str:
        """Return what a mount puts over signed files."""
        if not words or not environment.is_signed(words[-1]):
            return ""
        return _first(
            self._tree.leads(path) for word in words[:-1] for path in (word, *paths(word))
        )
