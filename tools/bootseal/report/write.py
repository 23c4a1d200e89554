# SPDX-License-Identifier: MIT
"""Write reports into files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from bootseal.files import write_file
from bootseal.report import junit, sarif

if TYPE_CHECKING:
    from bootseal.boot.scenario.model import MatrixResult
    from bootseal.check.document import DiskReport


def write_matrix(result: MatrixResult, kind: str, path: Path, *, logs: Path) -> None:
    """Write what came of a boot matrix; the file appears complete or not at all.

    Args:
        result: The result.
        kind: `json`, `junit` or `html`.
        path: The file.
        logs: Directory that the paths of serial logs are relative to.

    Raises:
        FormatError: A serial log is outside of that directory.
    """
    if kind == "json":
        text = json.dumps(result.document(), indent=2) + "\n"
    elif kind == "junit":
        text = junit.matrix(result, logs)
    else:
        from bootseal.report import matrix_html  # noqa: PLC0415 - jinja2 is slow to import

        text = matrix_html.page(result, logs)
    write_file(path, text.encode())


def write_disk(report: DiskReport, kind: str, path: Path) -> None:
    """Write what was found about a disk; the file appears complete or not at all.

    Args:
        report: The verdict, and the map of the disk.
        kind: `sarif`, `junit`, `html` or `svg`.
        path: The file.
    """
    if kind == "sarif":
        text = sarif.sarif(report)
    elif kind == "junit":
        text = junit.disk(report)
    else:
        from bootseal.report import disk_html  # noqa: PLC0415 - jinja2 is slow to import

        text = disk_html.drawing(report) if kind == "svg" else disk_html.page(report)
    write_file(path, text.encode())
