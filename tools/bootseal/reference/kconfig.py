# SPDX-License-Identifier: MIT
"""Kconfig fragments, and whether a finished `.config` holds what they ask for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SET: Final = re.compile(r"(CONFIG_\w+)=(.+)")
_UNSET: Final = re.compile(r"# (CONFIG_\w+) is not set")


def parse(text: str, name: str) -> dict[str, str]:
    r"""Read a fragment or `.config` as symbol and value; `n` means "is not set".

    Raises:
        FormatError: A line is neither a setting nor a comment, or sets a symbol twice.

    >>> parse("CONFIG_FIT=y\n# CONFIG_NET is not set\n", "x.cfg")
    {'CONFIG_FIT': 'y', 'CONFIG_NET': 'n'}
    """
    symbols: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _SET.fullmatch(line.rstrip()):
            symbol, value = match[1], match[2]
        elif match := _UNSET.fullmatch(line.rstrip()):
            symbol, value = match[1], "n"
        elif not line.strip() or line.startswith("#"):
            continue
        else:
            raise FormatError(f"{name}:{number}: {line!r} is neither CONFIG_X=value nor a comment")
        if symbol in symbols:
            raise FormatError(f"{name}:{number}: {symbol} is set a second time")
        symbols[symbol] = value
    return symbols


def check(config: Mapping[str, str], fragments: Mapping[str, Mapping[str, str]]) -> None:
    """Demand that every symbol of every fragment has its value in the finished configuration.

    Kconfig drops a setting whose dependencies are not met without a word, and a hardening option
    that silently went away is worse than a failed build.

    Args:
        config: The finished `.config`; a symbol that is not there is off.
        fragments: Parsed fragments by file name.

    Raises:
        ToolError: A setting did not stick; all of them are named.
    """
    lost = [
        f"{name}: {symbol} should be {wanted}, found {found}"
        for name, symbols in fragments.items()
        for symbol, wanted in symbols.items()
        if (found := config.get(symbol, "n")) != wanted
    ]
    if lost:
        raise ToolError(
            "the finished .config differs from the fragments:\n" + "\n".join(lost),
            hint="a dependency of the symbol is off, or another fragment decides otherwise",
        )
