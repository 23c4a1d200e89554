# SPDX-License-Identifier: MIT
"""Findings: what is wrong with an input, or worth knowing about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_EXAMPLES: Final = 3
_DEPTH: Final = 3


class Severity(StrEnum):
    """How much a finding matters; an `ERROR` refuses the input."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Rule(NamedTuple):
    """What every finding with one id has in common: a row of the catalogue.

    Attributes:
        id: Stable identifier such as `fit.image-hash`; one that ends in `.*` is a family.
        meaning: What is wrong, for tables and code scanners, in Markdown.
        remedy: What to do about it; empty when nothing helps.
        severity: How much it matters, where the finding does not say otherwise.
    """

    id: str
    meaning: str
    remedy: str
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or worth knowing about an input.

    Attributes:
        id: Stable identifier such as `fit.image-hash`, for filters and reports.
        severity: How much it matters.
        where: The place, for example `/images/kernel-1/hash-1` or `root-a`.
        message: One sentence that names what was observed and what was expected.
        offset: Bytes from the start of the input, where the place has one.
        expected: What should be there, in short; empty when `message` says it all.
        observed: What is there.
        remedy: What to do about it; empty when nothing helps.
    """

    id: str
    severity: Severity
    where: str
    message: str
    offset: int | None = None
    expected: str = ""
    observed: str = ""
    remedy: str = ""


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that refuse the input."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)


def refuse(findings: Iterable[Finding], what: str) -> None:
    """Raise when there are errors.

    Args:
        findings: The findings.
        what: What they refuse, the beginning of the message.

    Raises:
        VerificationRefused: There are; the message names the first and how many.
    """
    found = errors(findings)
    if not found:
        return
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise VerificationRefused(f"{what}: {first.id} at {first.where}: {first.message}{more}")


@dataclass(slots=True)
class ByDirectory:
    """Files about which the same is to be said, once for each directory.

    Attributes:
        make: Makes the finding from a directory and the names of the files there.
        names: The files by directory.
    """

    make: Callable[[str, str], Finding]
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, path: str) -> None:
        """Add a file."""
        parts = PurePosixPath(path).parts
        self.names.setdefault("/".join(parts[:-1][:_DEPTH]), []).append(path)

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each directory."""
        for directory, paths in sorted(self.names.items()):
            yield self.make(f"/{directory}", listed(paths))


def listed(paths: list[str]) -> str:
    """Name the first few of some files and count the others.

    >>> listed(["a", "b", "c", "d"])
    '4 files: a, b, c and 1 more'
    """
    shown = ", ".join(paths[:_EXAMPLES])
    if len(paths) == 1:
        return shown
    more = len(paths) - _EXAMPLES
    return f"{len(paths)} files: {shown}" + (f" and {more} more" if more > 0 else "")
