# SPDX-License-Identifier: MIT
"""Findings about many files, made once for each directory instead of once for each file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from bootseal.findings.catalogue import finding

if TYPE_CHECKING:
    from bootseal.findings.model import Finding

_EXAMPLES: Final = 3
_DEPTH: Final = 3


class ByDirectory:
    """Files of one place, by what is to be said about them.

    Args:
        place: What the files are in, for example `root-a`.
        messages: What to say, by the id of the finding; `{}` stands for the names of the files.
    """

    def __init__(self, place: str, messages: Mapping[str, str]) -> None:
        self._place = place
        self._messages = messages
        self._files: dict[str, dict[str, list[str]]] = {identifier: {} for identifier in messages}

    def add(self, identifier: str, path: str) -> None:
        """Add a file to those that a finding is about."""
        parts = PurePosixPath(path).parts
        self._files[identifier].setdefault("/".join(parts[:-1][:_DEPTH]), []).append(path)

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each id and directory."""
        for identifier, directories in self._files.items():
            for directory, paths in sorted(directories.items()):
                message = self._messages[identifier].format(listed(paths))
                yield finding(identifier, f"{self._place}:/{directory}", message)


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
