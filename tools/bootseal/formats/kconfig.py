# SPDX-License-Identifier: MIT
"""Kconfig fragments and finished `.config` files, read as Kconfig reads them, but strictly.

Spec: `conf_read_simple` in scripts/kconfig/confdata.c of Linux and U-Boot. Kconfig skips a line
that it does not understand, and takes the last of two settings of a symbol; both are refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError

PREFIX: Final = "CONFIG_"
"""What a symbol has in front of it in a `.config`, and not in a Kconfig file."""
ON: Final = "y"
"""The value of a symbol that is built in."""
OFF: Final = "n"
"""The value of a symbol that is not set."""

_SET: Final = re.compile(r"(CONFIG_\w+)=(.*)", re.ASCII)
_UNSET: Final = re.compile(r"# (CONFIG_\w+) is not set", re.ASCII)
# Kconfig takes some of these for settings and some for comments; people mean a setting.
_NEARLY_UNSET: Final = re.compile(r"\s*#\s*CONFIG_\w+\s+(?:is\s+)?not\s+set\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """What one line says about a symbol.

    Attributes:
        value: What is behind the `=`, quotes included; `OFF` for "is not set".
        line: Number of the line, from 1.
    """

    value: str
    line: int


def parse(data: bytes, name: str) -> dict[str, Setting]:
    r"""Read a fragment or `.config`: every symbol, with its prefix `CONFIG_`, and its setting.

    Args:
        data: The file, UTF-8.
        name: What messages call the file.

    Raises:
        FormatError: A line is neither a setting nor a comment, or sets a symbol a second time.

    >>> parse(b"CONFIG_FIT=y\n# CONFIG_NET is not set\n", "x.cfg")["CONFIG_NET"]
    Setting(value='n', line=2)
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: not UTF-8 text at byte {error.start}") from error
    settings: dict[str, Setting] = {}
    for number, line in enumerate(map(str.rstrip, lines), start=1):
        if match := _SET.fullmatch(line):
            symbol, value = match[1], match[2]
        elif match := _UNSET.fullmatch(line):
            symbol, value = match[1], OFF
        elif not line or (line.startswith("#") and not _NEARLY_UNSET.match(line)):
            continue
        else:
            raise FormatError(
                f"{name}:{number}: {line!r} is not a setting: expected CONFIG_X=value,"
                " `# CONFIG_X is not set` or a comment",
                hint="correct the line: Kconfig would skip it or guess, and say nothing",
            )
        if symbol in settings:
            raise FormatError(
                f"{name}:{number}: {symbol} is set a second time, first in line"
                f" {settings[symbol].line}",
                hint="take one of the two lines out",
            )
        settings[symbol] = Setting(value, number)
    return settings
