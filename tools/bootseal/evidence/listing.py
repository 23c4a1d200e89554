# SPDX-License-Identifier: MIT
"""What a directory holds: the files of a release, its statements, and what belongs to neither."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from bootseal.errors import FormatError, UsageError

FOLDER: Final = "evidence"
"""Below the directory of a device: the envelopes."""
SUFFIX: Final = ".intoto.json"
RELEASE: Final = "release"
"""Name of the statement that lists all others, and every file."""

WORKING: Final = ("keys", "logs", "matrix", "state", "tpm")
"""Directories of a built device that are not part of a release (docs/device.md)."""

_MOST_FILES: Final = 10_000
_DEEPEST: Final = 16
_KINDS: Final = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
)


@dataclass(slots=True, kw_only=True)
class Listing:
    """What is in a directory; paths are relative to it.

    Attributes:
        files: Size in bytes of each file that is not a statement.
        statements: Paths of the envelopes by name, without those of other names.
        others: What is not a file, such as a link, by path.
        working: Directories that are not part of a release.
        seen: How many files and directories it has, without what is in `working`.
    """

    files: dict[str, int] = field(default_factory=dict)
    statements: dict[str, Path] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    working: list[str] = field(default_factory=list)
    seen: int = 0


def of(directory: Path) -> Listing:
    """List a directory.

    Raises:
        UsageError: There is no such directory.
        FormatError: It has more files, or is deeper, than a release has.
    """
    if not directory.is_dir():
        raise UsageError(
            f"{directory} is not a directory: expected a release and its evidence",
            hint="bootseal evidence make DIR",
        )
    found = Listing()
    _walk(directory, directory, found, 0)
    return found


def envelope(directory: Path, name: str) -> Path:
    """Return where the envelope of a statement is."""
    return directory / FOLDER / f"{name}{SUFFIX}"


def _walk(top: Path, directory: Path, found: Listing, depth: int) -> None:
    with os.scandir(directory) as entries:
        there = list(islice(entries, _MOST_FILES + 1))
        for entry in sorted(there, key=lambda each: each.name):
            found.seen += 1
            if found.seen > _MOST_FILES:
                raise FormatError(f"{top} has more than {_MOST_FILES} files and directories")
            path = Path(entry.path)
            name = str(path.relative_to(top))
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                if depth == _DEEPEST:
                    raise FormatError(f"{path} is deeper than a release is")
                if name in WORKING:
                    found.working.append(name)
                else:
                    _walk(top, path, found, depth + 1)
            elif not stat.S_ISREG(mode):
                found.others[name] = next(kind for matches, kind in _KINDS if matches(mode))
            elif directory == top / FOLDER and name.endswith(SUFFIX):
                found.statements[entry.name.removesuffix(SUFFIX)] = path
            else:
                found.files[name] = entry.stat(follow_symlinks=False).st_size
