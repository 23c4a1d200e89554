# SPDX-License-Identifier: MIT
"""`bootseal keys show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.keys import printing
from bootseal.cli.options import Json

if TYPE_CHECKING:
    from bootseal.keys.directory.inspect import FileKey


def show(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="PEM file: a private key, public key or certificate."),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Show the contents of a key or certificate file, but never its secret."""
    from bootseal.keys.directory import inspect

    key = inspect.show(file)
    if as_json:
        console.emit_json({"schema": "bootseal.key/1", "file": str(file)} | _file_document(key))
        return
    values = _file_document(key).items()
    rows = [each for each in values if each[0] != "findings" and each[1] is not None]
    console.table(("property", "value"), rows)
    printing.print_findings(key.findings)


def _file_document(key: FileKey) -> dict[str, object]:
    return {
        "kind": key.kind,
        "bits": key.public_key.bits,
        "fingerprint": key.public_key.fingerprint(),
        "subject": key.subject,
        "issuer": key.issuer,
        "authority": key.authority,
        "not_after": key.not_after.isoformat() if key.not_after else None,
        "mode": f"{key.mode:04o}",
        "findings": [printing.finding_document(finding) for finding in key.findings],
    }
