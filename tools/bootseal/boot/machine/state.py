# SPDX-License-Identifier: MIT
"""The state that a build directory from someone else may contain.

The state of a device is an overlay on its disk, a TPM, and logs. They are written to, and QEMU
opens whatever the header of an overlay names: so nothing in them may lead out of the directory.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, UsageError
from bootseal.files import opened, resolved
from bootseal.formats import qcow2

if TYPE_CHECKING:
    from collections.abc import Iterable

_RAW: Final = "raw"


def remove(path: Path) -> None:
    """Remove a directory, or whatever is in its place; a link is removed and not followed."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


def check_files(directory: Path, names: Iterable[str]) -> None:
    """Refuse links and whatever else is neither a file nor a directory.

    Args:
        directory: The build directory.
        names: Its subdirectories that are written to.

    Raises:
        UsageError: There is one.
    """
    for name in names:
        top = directory / name
        below = (
            Path(parent) / each
            for parent, folders, files in os.walk(top)
            for each in (*folders, *files)
        )
        for path in (top, *below):
            if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())):
                raise UsageError(
                    f"{path} is a link, or not a file: the state of a device is in its directory",
                    hint=f"bootseal boot run --reset {directory}",
                )


def check_overlay(overlay: Path, backing: Path, directory: Path) -> None:
    """Refuse an overlay that makes QEMU open any file but the device's own disk.

    Args:
        overlay: The overlay.
        backing: The disk it must be on.
        directory: The build directory.

    Raises:
        UsageError: It is another kind of file, or names another disk, or its data is elsewhere.
    """
    try:
        with opened(overlay) as file:
            wrong = _wrong(qcow2.parse(file.read(qcow2.HEAD)), str(resolved(backing)))
    except FormatError as error:
        wrong = error.message
    if wrong:
        raise UsageError(
            f"{overlay} is not the overlay that `boot run` made here: {wrong}",
            hint=f"bootseal boot run --reset {directory}",
        )


def _wrong(found: qcow2.Qcow2Header, backing: str) -> str:
    if found.backing != backing or found.backing_format != _RAW:
        form = found.backing_format or "any format"
        return f"its backing file is {found.backing!r}, {form!r}: expected {backing!r}, {_RAW!r}"
    if found.data_file or found.features or found.encrypted:
        return "its data is in another file, or it has features that `boot run` does not use"
    return ""
