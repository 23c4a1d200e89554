# SPDX-License-Identifier: MIT
"""Whether a finished `.config` of U-Boot or the kernel holds what the fragments ask for.

Kconfig drops a setting whose dependencies are not met, and lets a later fragment overrule an
earlier one, both without a word. A hardening option that silently went away is worse than a failed
build.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

from bootseal.errors import VerificationRefused
from bootseal.files import read_bounded
from bootseal.formats import kconfig, kconfig_tree
from bootseal.formats.kinds.kind import TEXT
from bootseal.formats.kinds.recognise import checked
from bootseal.formats.uboot import config as uboot_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bootseal.formats.kconfig import Setting
    from bootseal.formats.kconfig_tree import Tree
    from bootseal.formats.uboot.config import Violation


class FragmentRole(StrEnum):
    """Whose a fragment is."""

    REQUIRED = "required"
    """The layer's: each of its settings must hold."""
    BOARD = "board"
    """The board's: it may add settings, and never contradicts a required one."""


class ProblemKind(StrEnum):
    """What is wrong with a setting."""

    CONTRADICTION = "contradiction"
    """Another fragment sets the symbol to another value."""
    LOST = "lost"
    """The finished configuration has another value."""
    FORBIDDEN = "forbidden"
    """No bootseal device has a U-Boot with that, whatever its fragments say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A Kconfig fragment that was read.

    Attributes:
        file: Its path, as messages name it.
        role: Whose it is.
        settings: Its settings by symbol.
    """

    file: str
    role: FragmentRole
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

    kind: ProblemKind
    file: str
    line: int
    symbol: str
    expected: str
    observed: str
    message: str
    remedy: str


def read(path: Path, role: FragmentRole) -> Fragment:
    """Read a fragment.

    Raises:
        FormatError: A line is neither a setting nor a comment, or sets a symbol a second time.
        OSError: It cannot be read.
    """
    settings = kconfig.parse(checked(read_bounded(path), TEXT, str(path)), str(path))
    return Fragment(file=str(path), role=role, settings=settings)


def problems(
    config: Path,
    fragments: Sequence[Fragment],
    *,
    uboot: bool = False,
    sources: Path | None = None,
) -> tuple[Problem, ...]:
    """Return every setting of a fragment that another one contradicts, or that did not stick.

    Args:
        config: The finished `.config`. A symbol that it does not have is off.
        fragments: The fragments that it was made with.
        uboot: Whether it is U-Boot's, of which whole families of symbols are off.
        sources: The source tree it belongs to, whose Kconfig files tell why a setting was lost.

    Raises:
        FormatError: The finished configuration is malformed.
        OSError: It, or the source tree, cannot be read.
    """
    finished = kconfig.parse(checked(read_bounded(config), TEXT, str(config)), str(config))
    ways = [_contradictions(fragments), _lost(config, finished, fragments)]
    if uboot:
        ways.insert(1, _forbidden_by_board(fragments, finished))
        ways.append(_forbidden(config, finished))
    found: list[Problem] = []
    for way in ways:
        # Of two settings that contradict each other one is lost as well, which says nothing new.
        known = {problem.symbol for problem in found}
        found += [problem for problem in way if problem.symbol not in known]
    if sources is not None and any(
        problem.kind is not ProblemKind.CONTRADICTION for problem in found
    ):
        tree = kconfig_tree.read(sources)
        found = [_explained(problem, tree, finished) for problem in found]
    return tuple(found)


def refuse(found: Sequence[Problem], config: Path) -> None:
    """Raise when there are problems.

    Raises:
        VerificationRefused: There are; all of them are named.
    """
    if found:
        lines = "".join(f"\n  {problem.message}" for problem in found)
        remedies = dict.fromkeys(problem.remedy for problem in found)
        raise VerificationRefused(
            f"{config} differs from what its fragments require:{lines}", hint="; ".join(remedies)
        )


def _contradictions(fragments: Sequence[Fragment]) -> Iterator[Problem]:
    # The required one first, so that the board's line is the one to change.
    ordered = sorted(fragments, key=lambda fragment: fragment.role is not FragmentRole.REQUIRED)
    for first, second in combinations(ordered, 2):
        for symbol, setting in second.settings.items():
            other = first.settings.get(symbol, setting)
            if other.value == setting.value:
                continue
            required = first.role is FragmentRole.REQUIRED and second.role is FragmentRole.BOARD
            if required:
                remedy = (
                    f"take the line out of {second.file}: a board's fragments may add settings"
                    " and must not contradict required ones"
                )
            else:
                remedy = f"take {symbol} out of {second.file} or {first.file}: only one can hold"
            yield Problem(
                kind=ProblemKind.CONTRADICTION,
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
                kind=ProblemKind.LOST,
                file=fragment.file,
                line=setting.line,
                symbol=symbol,
                expected=setting.value,
                observed=value,
                message=f"{fragment.file}:{setting.line}: {symbol} should be {setting.value},"
                f" found {value}{where}",
                remedy="search for the symbol in menuconfig (with /): a dependency is off, or "
                "something that is not listed here overrides it",
            )


def _forbidden_by_board(
    fragments: Sequence[Fragment], finished: Mapping[str, Setting]
) -> Iterator[Problem]:
    """Yield what a fragment of the board switches on or off that no U-Boot may have so."""
    for fragment in fragments:
        if fragment.role is FragmentRole.REQUIRED:
            continue
        settings = {**finished, **fragment.settings}
        for violation in uboot_config.violations(settings):
            setting = fragment.settings.get(violation.symbol)
            if setting is not None:
                yield _forbidden_setting(
                    violation,
                    setting,
                    fragment.file,
                    f"remove the line from {fragment.file}: a board's fragment may not set this",
                )


def _forbidden(config: Path, finished: Mapping[str, Setting]) -> Iterator[Problem]:
    """Yield what the finished configuration has without any fragment having asked for it."""
    for violation in uboot_config.violations(finished):
        yield _forbidden_setting(
            violation,
            finished.get(violation.symbol, kconfig.Setting(kconfig.OFF, 0)),
            str(config),
            "set it in a fragment of the board: the value comes from the defconfig or is a "
            "Kconfig default",
        )


def _forbidden_setting(violation: Violation, setting: Setting, file: str, remedy: str) -> Problem:
    where = f"{file}:{setting.line}" if setting.line else file
    return Problem(
        kind=ProblemKind.FORBIDDEN,
        file=file,
        line=setting.line,
        symbol=violation.symbol,
        expected=violation.expected,
        observed=setting.value,
        message=f"{where}: {violation.symbol} should be {violation.expected}, found"
        f" {setting.value}: {violation.reason}",
        remedy=remedy,
    )


def _explained(problem: Problem, tree: Tree, finished: Mapping[str, Setting]) -> Problem:
    """Return a problem with what decided it, where the sources tell."""
    if problem.kind is ProblemKind.CONTRADICTION:
        return problem
    cause = kconfig_tree.cause(tree, problem.symbol, finished)
    if not cause:
        return problem
    return replace(
        problem,
        message=f"{problem.message}; {cause}",
        remedy="change what selects it in a fragment of the board",
    )
