# SPDX-License-Identifier: MIT
"""Serial logs of power cycles, as reports show them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from bootseal.errors import FormatError
from bootseal.text import visible

_MAX_LINES: Final = 6000


def lines(path: str, directory: Path) -> tuple[str, ...]:
    """Read a serial log; a missing one is shown as such, for the verdict does not rest on it.

    Args:
        path: Its path, relative to `directory`; empty for no log.
        directory: The build directory.

    Returns:
        Its lines, harmless to show; of an endless log the first and the last ones.

    Raises:
        FormatError: The path leads out of the directory.
    """
    if not path:
        return ()
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise FormatError(f"serial log {path!r} is outside the result directory")
    try:
        text = (directory / relative).read_text(errors="replace")
    except OSError as error:
        return (f"({path} could not be read: {error.strerror})",)
    found = text.split("\n")
    if len(found) > _MAX_LINES:
        half = _MAX_LINES // 2
        left_out = len(found) - 2 * half
        found = [*found[:half], f"({left_out} lines left out)", *found[-half:]]
    return tuple(visible(line.rstrip("\r").replace("\t", "    ")) for line in found)
