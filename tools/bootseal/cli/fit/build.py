# SPDX-License-Identifier: MIT
"""`bootseal fit build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import now
from bootseal.cli.options import MemoryOptions, address, pairs


def build(
    *,
    kernel: Annotated[
        Path,
        typer.Option(
            help="Kernel, stored as it is, for example Image.gz; compression is detected."
        ),
    ],
    fdt: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FILE", help="Device tree of configuration conf-NAME; may be repeated."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The FIT to write.")],
    hint: Annotated[str, typer.Option(help="Key name hint of the key that will sign.")],
    ramdisk: Annotated[Path | None, typer.Option(help="Initial RAM file system.")] = None,
    algorithm: Annotated[
        str, typer.Option(help="Signature algorithm, by U-Boot's name.")
    ] = "sha256,rsa4096",
    arch: Annotated[
        str | None,
        typer.Option(help="Architecture, by U-Boot's name; the kernel's own if left out."),
    ] = None,
    load: Annotated[
        str | None,
        typer.Option(
            help="Load address; on arm64 and riscv a multiple of 2 MiB. If left out, one for "
            "QEMU's virt machine on arm, arm64 and riscv."
        ),
    ] = None,
    entry: Annotated[
        str | None, typer.Option(help="Entry point; the load address if left out.")
    ] = None,
    memory: MemoryOptions,
    description: Annotated[str, typer.Option(help="One line of text.")] = "Signed by bootseal",
) -> None:
    """Assemble a FIT that is ready to be signed.

    Every configuration gets the kernel, its device tree and the ramdisk, and a
    signature node that covers all three. The first --fdt becomes the default
    configuration.

    Example: bootseal fit build --kernel Image.gz --ramdisk initramfs.cpio
    --fdt a=a.dtb --fdt b=b.dtb --hint DEV-fit-1 -o fit.itb
    """
    from bootseal.fit import build as fit_build

    chosen = fit_build.architecture(kernel, arch)
    start = fit_build.load_address(chosen) if load is None else address(load)
    spec = fit_build.FitSpec(
        description=description,
        kernel=kernel,
        compression=fit_build.detect_compression(kernel),
        load=start,
        entry=start if entry is None else address(entry),
        fdts={name: Path(file) for name, file in pairs("--fdt", fdt, "NAME=FILE").items()},
        ramdisk=ramdisk,
        hint=hint,
        algorithm=algorithm,
        arch=chosen,
        target=memory.target(),
    )
    with console.TerminalProgress().step(f"Assemble {output}"):
        fit_build.build(spec, output, epoch=now())
    console.status("Next: bootseal fit sign {} --key KEY.pem --hint {}", output, hint)
