# SPDX-License-Identifier: MIT
"""Findings about many files, said once for each directory instead of once for each file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bootseal.events import Finding

_EXAMPLES: Final = 3
_DEPTH: Final = 3


@dataclass(slots=True)
class Group:
    """Files of which the same is to be said.

    Attributes:
        make: Makes the finding of a place and the files there.
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
