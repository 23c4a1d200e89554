# SPDX-License-Identifier: MIT
"""The options of every command that checks a disk image against its device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli.options import MemoryOptions, pairs
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.check.expected import Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions(MemoryOptions):
    """What the device of a disk image is: its boot loader and its declared layout."""

    dtb: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="U-Boot: u-boot.bin, its ELF file, or its control device tree. Required for an "
            "IMAGE.",
        ),
    ] = None
    layout: Annotated[
        Path | None,
        typer.Option(
            metavar="WKS", help="The declared layout, a wic kickstart file. Required for an IMAGE."
        ),
    ] = None
    boot_loader: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="For an IMAGE: file of a boot loader that the layout declares with --no-table; "
            "may be repeated.",
        ),
    ] = None

    def expected(self, image: Path, policy_key: Path | None = None) -> Expected:
        """Return what a disk is checked against.

        Args:
            image: The disk image, or a build directory.
            policy_key: File of the public key that must have signed the PCR policy.

        Raises:
            UsageError: Something is missing.
            FormatError: Something is malformed.
        """
        from bootseal.check import expected
        from bootseal.cli import inputs
        from bootseal.disk.declared import of_disk
        from bootseal.files import BOOT_LOADER
        from bootseal.formats.kinds import kind as kinds
        from bootseal.keys.public import from_pem

        key = None if policy_key is None else from_pem(inputs.read(policy_key, kinds.PUBLIC_KEY))
        if image.is_dir():
            known = (self.dtb, self.layout, self.bootm_len, self.fit_address, self.boot_loader)
            if any(option for option in known):
                raise UsageError(
                    f"{image} is a build directory, whose U-Boot and layout are known",
                    hint="leave out --dtb, --layout, --bootm-len, --fit-address and --boot-loader, "
                    "or name the image in it",
                )
            return expected.of_device(image, policy_key=key)
        if not image.exists():
            raise UsageError(f"there is neither a disk image nor a build directory at {image}")
        if self.dtb is None or self.layout is None:
            missing = "--dtb" if self.dtb is None else "--layout"
            raise UsageError(
                f"{image} is checked against U-Boot's keys and the declared layout: {missing} is "
                "not given",
                hint="bootseal disk check IMAGE --dtb u-boot.bin --layout LAYOUT.wks",
            )
        control = inputs.read(self.dtb, kinds.U_BOOT, limit=BOOT_LOADER)
        declared = of_disk(inputs.read_text(self.layout), self.layout.name, image)
        loaders = pairs("--boot-loader", self.boot_loader, "NAME=FILE")
        return expected.of_layout(
            image,
            control,
            declared,
            policy_key=key,
            memory=self.target(),
            area_files={name: Path(file) for name, file in loaders.items()},
        )
