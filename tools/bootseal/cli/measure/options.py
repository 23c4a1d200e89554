# SPDX-License-Identifier: MIT
"""Options that several verbs of `bootseal measure` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Source: TypeAlias = Annotated[
    Path,
    typer.Argument(metavar="DIR|DISK|FIT", help="A built device's directory, a disk, or a FIT."),
]
UBoot: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--u-boot", metavar="FILE", help="U-Boot's binary, for PCR 0; a directory has its own."
    ),
]
Configurations: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--configuration", "-c", help="Only this configuration; may be repeated."),
]
Banks: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--bank", help="PCR bank beside sha256; may be repeated. Default: all but sha1."),
]
