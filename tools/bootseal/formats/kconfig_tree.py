# SPDX-License-Identifier: MIT
"""Why Kconfig gives a symbol a value other than a fragment's, according to the sources.

A search of the Kconfig files for `select` and `depends on`, and not an evaluation: it names what
to look at, and decides nothing.

Spec: Documentation/kbuild/kconfig-language.rst of Linux, which U-Boot follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bootseal.files import read_bounded
from bootseal.formats import kconfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bootseal.formats.kconfig import Setting

_CONFIG: Final = re.compile(r"\s*(?:menu)?config\s+(\w+)\s*$")
_SELECT: Final = re.compile(r"\s+(?:select|imply)\s+(\w+)")
_DEPENDS: Final = re.compile(r"\s+depends\s+on\s+(.+)")
_NEEDED: Final = re.compile(r"(?<![!\w])[A-Z]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What the Kconfig files of a source tree say, by symbol without its prefix.

    Attributes:
        selected: Who selects or implies it: symbol, and file with line.
        depends: The symbols that its own `depends on` names, as far as they must be on.
    """

    selected: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)
    depends: Mapping[str, list[str]] = field(default_factory=dict)


def read(directory: Path) -> Tree:
    """Read every Kconfig file of a source tree; one that is not UTF-8 is read as far as it is.

    Raises:
        OSError: The directory or one of the files cannot be read.
    """
    selected: dict[str, list[tuple[str, str]]] = {}
    depends: dict[str, list[str]] = {}
    for name, text in _files(directory):
        current = ""
        for number, line in enumerate(text.splitlines(), start=1):
            if match := _CONFIG.match(line):
                current = match[1]
            elif match := _SELECT.match(line):
                selected.setdefault(match[1], []).append((current, f"{name}:{number}"))
            elif (match := _DEPENDS.match(line)) and current:
                # Of alternatives, one is enough: which is not to be told here.
                needed = [] if "||" in match[1] else _NEEDED.findall(match[1])
                depends.setdefault(current, []).extend(needed)
    return Tree(selected=selected, depends=depends)


def cause(tree: Tree, symbol: str, finished: Mapping[str, Setting]) -> str:
    """Say what overrides a fragment's value for a symbol; empty when the sources do not show it.

    Args:
        tree: The sources.
        symbol: The symbol, with its prefix.
        finished: The finished configuration.
    """
    name = symbol.removeprefix(kconfig.PREFIX)
    if _value(name, finished) != kconfig.OFF:
        on = [
            f"{kconfig.PREFIX}{other} ({place})"
            for other, place in tree.selected.get(name, ())
            if _value(other, finished) != kconfig.OFF
        ]
        return f"selected by {', '.join(on)}" if on else ""
    off = dict.fromkeys(
        f"{kconfig.PREFIX}{other}"
        for other in tree.depends.get(name, ())
        if _value(other, finished) == kconfig.OFF
    )
    return f"depends on {', '.join(off)}, which is off" if off else ""


def _value(name: str, finished: Mapping[str, Setting]) -> str:
    setting = finished.get(f"{kconfig.PREFIX}{name}")
    return setting.value if setting else kconfig.OFF


def _files(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the name, relative to the directory, and the text of each Kconfig file."""
    for path in sorted(directory.rglob("Kconfig*")):
        if path.is_file():
            yield str(path.relative_to(directory)), read_bounded(path).decode(errors="replace")
