# SPDX-License-Identifier: MIT
"""Kconfig fragments, and whether a finished `.config` holds what they ask for.

Kconfig drops a setting whose dependencies are not met without a word; a hardening option that
silently went away is worse than a failed build.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SET: Final = re.compile(r"(CONFIG_\w+)=(.*)")
_UNSET: Final = re.compile(r"# (CONFIG_\w+) is not set")


def parse(text: str) -> dict[str, str]:
    """Return symbol and value of every setting; `n` stands for "is not set"."""
    symbols: dict[str, str] = {}
    for line in text.splitlines():
        if match := _SET.fullmatch(line.strip()):
            symbols[match[1]] = match[2]
        elif match := _UNSET.fullmatch(line.strip()):
            symbols[match[1]] = "n"
    return symbols


def lost(config: str, fragments: Mapping[str, str]) -> list[str]:
    """Return one line for every setting of a fragment that the finished configuration lacks.

    Args:
        config: Text of the finished `.config`.
        fragments: Text of each fragment by file name. A later fragment overrides an earlier one.
    """
    finished = parse(config)
    wanted: dict[str, tuple[str, str]] = {}
    for name, text in fragments.items():
        wanted |= {symbol: (value, name) for symbol, value in parse(text).items()}
    return [
        f"{name}: {symbol} should be {value}, found {finished.get(symbol, 'n')}"
        for symbol, (value, name) in wanted.items()
        if finished.get(symbol, "n") != value
    ]
