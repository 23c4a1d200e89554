# SPDX-License-Identifier: MIT
"""`bootseal keys audit`."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import Json
from bootseal.errors import ExitCode
from bootseal.findings.model import Severity


def audit(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Any directory.")],
    *,
    max_age: Annotated[
        int, typer.Option(help="Days after which a signing key should have been rotated.")
    ] = 1825,
    as_json: Json = False,
) -> None:
    """Find the keys in every file, and report problems with them and with their files.

    Exits with 3 if there is anything to report.
    """
    from bootseal.keys.directory.audit import audit as examine

    found = examine(directory, max_age=timedelta(days=max_age))
    if as_json:
        console.emit_json({"schema": "bootseal.key-audit/3"} | dataclasses.asdict(found))
    elif found.findings:
        console.table(
            ("severity", "finding", "where", "what"),
            [(f.severity.value, f.id, f.where, f.message) for f in found.findings],
        )
    for each in found.unchecked:
        console.status("not looked for: {}", each)
    keys = sum(len(each.keys) for each in found.files)
    words = len(found.files), keys, len(found.skipped)
    if found.findings:
        console.status("{} files with {} keys examined, {} files not", *words)
        errors = sum(f.severity is Severity.ERROR for f in found.findings)
        console.status("REFUSED: {} errors, {} warnings", errors, len(found.findings) - errors)
        raise typer.Exit(ExitCode.REFUSED)
    console.status("OK: nothing to report about {} files with {} keys", *words[:2])
