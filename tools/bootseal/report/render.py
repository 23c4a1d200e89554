# SPDX-License-Identifier: MIT
"""Turn a matrix document into the files people and CI systems read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.files import write_file
from bootseal.report.document import dump, parse
from bootseal.report.junit import junit

if TYPE_CHECKING:
    from pathlib import Path

FILES: Final = {"json": "matrix.json", "junit": "matrix.xml", "html": "matrix.html"}
"""File name by format, as `write` uses them."""


def render(document: dict[str, object], kind: str, *, logs: Path) -> str:
    """Render a matrix document.

    Args:
        document: A document of schema `bootseal.matrix/2`.
        kind: A key of `FILES`.
        logs: Directory that the paths of serial logs in the document are relative to.

    Raises:
        FormatError: The document is not valid.
    """
    matrix = parse(document, logs)
    if kind == "json":
        return dump(document)
    if kind == "junit":
        return junit(matrix)
    from bootseal.report.page import page  # noqa: PLC0415 - jinja2 is slow to import

    return page(matrix)


def write(document: dict[str, object], directory: Path, *, logs: Path) -> dict[str, Path]:
    """Write every format into a directory and return the paths by format.

    Raises:
        FormatError: The document is not valid; nothing is written then.
    """
    texts = {kind: render(document, kind, logs=logs) for kind in FILES}
    directory.mkdir(parents=True, exist_ok=True)
    paths = {kind: directory / name for kind, name in FILES.items()}
    for kind, path in paths.items():
        write_file(path, texts[kind].encode())
    return paths
