# SPDX-License-Identifier: MIT
"""Turn the verdict on a disk into the files people and CI systems read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.files import write_file
from bootseal.report.disk_document import parse
from bootseal.report.disk_formats import junit, sarif

if TYPE_CHECKING:
    from pathlib import Path


def render(document: dict[str, object], kind: str) -> str:
    """Render a verdict.

    Args:
        document: A document of schema `bootseal.disk-verdict/2`.
        kind: `sarif`, `junit`, `html` or `svg`.

    Raises:
        FormatError: The document is not valid.
    """
    verdict = parse(document)
    if kind == "sarif":
        return sarif(verdict)
    if kind == "junit":
        return junit(verdict)
    from bootseal.report import disk_page  # noqa: PLC0415 - jinja2 is slow to import

    return disk_page.drawing(verdict) if kind == "svg" else disk_page.page(verdict)


def write(document: dict[str, object], kind: str, path: Path) -> None:
    """Render a verdict into a file, which appears complete or not at all.

    Raises:
        FormatError: The document is not valid; nothing is written then.
    """
    write_file(path, render(document, kind).encode())
