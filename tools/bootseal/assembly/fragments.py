# SPDX-License-Identifier: MIT
"""Whether a finished `.config` of U-Boot or the kernel holds what the fragments ask for.

Kconfig drops a setting whose dependencies are not met, and lets a later fragment overrule an
earlier one, both without a word. A hardening option that silently went away is worse than a failed
build.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

from bootseal.errors import VerificationRefused
from bootseal.files import read_bounded
from bootseal.formats import kconfig
from bootseal.formats.kinds.kind import TEXT
from bootseal.formats.kinds.recognise import checked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bootseal.formats.kconfig import Setting


class Role(StrEnum):
    """Whose a fragment is."""

    REQUIRED = "required"
    """The layer's: each of its settings must hold."""
    BOARD = "board"
    """The board's: it may add settings, and never contradicts a required one."""


class Kind(StrEnum):
    """What is wrong with a setting."""

    CONTRADICTION = "contradiction"
    """Another fragment sets the symbol to another value."""
    LOST = "lost"
    """The finished configuration has another value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A Kconfig fragment that was read.

    Attributes:
        file: Its path, as messages name it.
        role: Whose it is.
        settings: Its settings by symbol.
    """

    file: str
    role: Role
    settings: Mapping[str, Setting]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A setting that cannot hold, or does not.

    Attributes:
        kind: What is wrong.
        file: The fragment with the setting.
        line: Its line there, from 1.
        symbol: The symbol, with its prefix `CONFIG_`.
        expected: The value that it should have.
        observed: The value that was found instead; `n` for "is not set".
        message: One line that says all of this.
        remedy: What to do about it.
    """

    kind: Kind
    file: str
    line: int
    symbol: str
    expected: str
    observed: str
    message: str
    remedy: str


def read(path: Path, role: Role) -> Fragment:
    """Read a fragment.

    Raises:
        FormatError: A line is neither a setting nor a comment, or sets a symbol a second time.
        OSError: It cannot be read.
    """
    settings = kconfig.parse(checked(read_bounded(path), TEXT, str(path)), str(path))
    return Fragment(file=str(path), role=role, settings=settings)


def problems(config: Path, fragments: Sequence[Fragment]) -> tuple[Problem, ...]:
    """Return every setting of a fragment that another one contradicts, or that did not stick.

    Args:
        config: The finished `.config`. A symbol that it does not have is off.
        fragments: The fragments that it was made with.

    Raises:
        FormatError: The finished configuration is malformed.
        OSError: It cannot be read.
    """
    finished = kconfig.parse(checked(read_bounded(config), TEXT, str(config)), str(config))
    contradictions = list(_contradictions(fragments))
    # One of the two settings is lost as well, which says nothing new.
    known = {problem.symbol for problem in contradictions}
    lost = [p for p in _lost(config, finished, fragments) if p.symbol not in known]
    return tuple(contradictions + lost)


def refuse(found: Sequence[Problem], config: Path) -> None:
    """Raise when there are problems.

    Raises:
        VerificationRefused: There are; all of them are named.
    """
    if found:
        lines = "".join(f"\n  {problem.message}" for problem in found)
        remedies = dict.fromkeys(problem.remedy for problem in found)
        raise VerificationRefused(
            f"{config} differs from what its fragments demand:{lines}", hint="; ".join(remedies)
        )


def _contradictions(fragments: Sequence[Fragment]) -> Iterator[Problem]:
    # The required one first, so that the board's line is the one to change.
    ordered = sorted(fragments, key=lambda fragment: fragment.role is not Role.REQUIRED)
    for first, second in combinations(ordered, 2):
        for symbol, setting in second.settings.items():
            other = first.settings.get(symbol, setting)
            if other.value == setting.value:
                continue
            required = first.role is Role.REQUIRED and second.role is Role.BOARD
            if required:
                remedy = (
                    f"take the line out of {second.file}: a board's fragments may add settings"
                    " and must not contradict required ones"
                )
            else:
                remedy = f"take {symbol} out of {second.file} or {first.file}: only one can hold"
            yield Problem(
                kind=Kind.CONTRADICTION,
                file=second.file,
                line=setting.line,
                symbol=symbol,
                expected=other.value,
                observed=setting.value,
                message=f"{second.file}:{setting.line}: {symbol} should be {other.value}, as"
                f" {first.file}:{other.line} {'requires' if required else 'says'},"
                f" found {setting.value}",
                remedy=remedy,
            )


def _lost(
    config: Path, finished: Mapping[str, Setting], fragments: Sequence[Fragment]
) -> Iterator[Problem]:
    for fragment in fragments:
        for symbol, setting in fragment.settings.items():
            found = finished.get(symbol)
            value = found.value if found else kconfig.OFF
            if value == setting.value:
                continue
            where = f" in {config}:{found.line}" if found else f": {config} does not have it"
            yield Problem(
                kind=Kind.LOST,
                file=fragment.file,
                line=setting.line,
                symbol=symbol,
                expected=setting.value,
                observed=value,
                message=f"{fragment.file}:{setting.line}: {symbol} should be {setting.value},"
                f" found {value}{where}",
                remedy="search for the symbol in menuconfig (with /): what it depends on is off,"
                " or something that is not listed here decides otherwise",
            )
