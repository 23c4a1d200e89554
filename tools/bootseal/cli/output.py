# SPDX-License-Identifier: MIT
"""Results written to a file or to standard output, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import typer


def write(target: str | Path, data: bytes) -> None:
    """Write a result; `-` is standard output.

    A file appears under its name only when all of it is on the disk.
    """
    if str(target) == "-":
        typer.echo(data, nl=False)
        return
    path = Path(target)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
