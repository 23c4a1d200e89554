# SPDX-License-Identifier: MIT
"""What the commands of `bootseal disk` are given: an image, and what it is judged against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.check.expected import Target

DiskImage: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="IMAGE|DIR",
        help="A build directory, or a disk image: raw, .gz, .zst, or the .bmap file of one.",
    ),
]
UBoot: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--dtb",
        metavar="FILE",
        help="U-Boot: u-boot.bin, its ELF file, or its control device tree. Needed for an IMAGE.",
    ),
]
Layout: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="WKS", help="The declared layout, a wic kickstart file. Needed for an IMAGE."
    ),
]
PolicyKey: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="PEM", help="Public key that must have signed the PCR policy."),
]


def target_of(
    image: Path, dtb: Path | None, layout: Path | None, policy_key: Path | None
) -> Target:
    """Return what a disk is judged against.

    Raises:
        UsageError: Something is missing.
        FormatError: Something is malformed.
    """
    from bootseal.check import expected
    from bootseal.disk.layout import parse_wks
    from bootseal.keys.public import from_pem

    key = None if policy_key is None else from_pem(policy_key.read_bytes())
    if image.is_dir():
        if dtb is not None or layout is not None:
            raise UsageError(
                f"{image} is a build directory, which says itself what its U-Boot and layout are",
                hint="leave --dtb and --layout out, or name the image in it",
            )
        return expected.of_device(image, policy_key=key)
    if not image.exists():
        raise UsageError(f"there is neither a disk image nor a build directory at {image}")
    if dtb is None or layout is None:
        missing = "--dtb" if dtb is None else "--layout"
        raise UsageError(
            f"{image} is judged by U-Boot's keys and the declared layout: {missing} is not given",
            hint="bootseal disk check IMAGE --dtb u-boot.bin --layout LAYOUT.wks",
        )
    declared = parse_wks(layout.read_text(errors="replace"), layout.name)
    return expected.of_layout(image, dtb.read_bytes(), declared, policy_key=key)
