# SPDX-License-Identifier: MIT
"""Results written to a file or to standard output, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import typer

from bootseal.files import write_file


def write(target: str | Path, data: bytes) -> None:
    """Write a result; `-` is standard output.

    A file appears under its name only when all of it is on the disk.

    Raises:
        UsageError: There is no such directory, or something there that is no regular file.
        OSError: The directory cannot be written to.
    """
    if str(target) == "-":
        typer.echo(data, nl=False)
        return
    write_file(Path(target), data)
