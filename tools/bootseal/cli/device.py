# SPDX-License-Identifier: MIT
"""`bootseal device`: the steps from another build's parts to a described device.

The tasks of the Yocto layer call these in this order, with `fit build`, `fit sign` and `measure
sign` between them; the reference build goes through the same code in one go. `config` comes first,
once for U-Boot and once for the kernel.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import now, opened, read, read_text
from bootseal.cli.options import Json, MemoryOptions
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.assembly.fragments import Fragment, Problem
    from bootseal.device import Input
    from bootseal.disk.layout import Layout
    from bootseal.target import Target

app = typer.Typer(no_args_is_help=True, help="Assemble a device from the parts of another build.")

_Directory = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="Directory with the parts, named as in docs/device.md."),
]
_LayoutFile = Annotated[Path, typer.Option(help="The declared disk layout, a .wks file.")]


@app.command()
def config(
    finished: Annotated[Path, typer.Argument(metavar="CONFIG", help="The finished .config.")],
    *,
    required: Annotated[
        list[Path], typer.Option(help="Fragment whose settings must hold; may be repeated.")
    ],
    board: Annotated[
        list[Path] | None,
        typer.Option(help="Fragment of the board, which may only add settings; may be repeated."),
    ] = None,
    uboot: Annotated[
        bool,
        typer.Option(
            "--uboot",
            help="The .config is U-Boot's: also refuse families of "
            "symbols that open other ways in.",
        ),
    ] = False,
    sources: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Source tree, to explain why a setting was lost."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the finished .config of U-Boot or a kernel with its fragments.

    Exits with 0 if the file has every setting of every fragment; with 3 if Kconfig dropped
    one, two fragments contradict each other, or U-Boot has an environment location,
    a command, a file system or a network that it must not have; with 4 if a line of a fragment
    is neither a setting nor a comment, or sets a symbol a second time.

    Example: bootseal device config --uboot --required verify.cfg --board board.cfg .config
    """
    from bootseal.assembly import fragments
    from bootseal.assembly.fragments import FragmentRole

    given = [fragments.read(path, FragmentRole.REQUIRED) for path in required]
    given += [fragments.read(path, FragmentRole.BOARD) for path in board or ()]
    found = fragments.problems(finished, given, uboot=uboot, sources=sources)
    if as_json:
        console.emit_json(_verdict(finished, given, found))
    fragments.refuse(found, finished)
    settings = sum(len(fragment.settings) for fragment in given)
    console.status("OK: {} has every setting of its fragments ({})", finished, settings)


@app.command()
def verity(directory: _Directory) -> None:
    """Write root.verity, the hash tree of root.erofs, and verity.json, how to open it."""
    from bootseal.assembly import verity as trees
    from bootseal.reference import rootfs

    found = trees.format_tree(_part(directory, rootfs.IMAGE), directory / rootfs.TREE)
    trees.save(found, directory / rootfs.FACTS)
    console.status("OK: root hash {}", found.root_hash)


@app.command()
def trees(
    directory: _Directory,
    *,
    board: Annotated[Path, typer.Option(help="Device tree of the board: .dts or .dtb.")],
    bootargs: Annotated[Path, typer.Option(help="File with the kernel parameters.")],
    rollback_index: Annotated[
        int, typer.Option(min=0, max=63, help="Security version of the system.")
    ] = 1,
    firmware_version: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=63,
            help="With a boot ROM: the lowest security version of its approved boot loaders.",
        ),
    ] = None,
) -> None:
    """Write fdt-a.dtb and fdt-b.dtb: the board, the slot, and how to open its root."""
    from bootseal.assembly import device as assembly
    from bootseal.assembly import verity as verity_trees
    from bootseal.reference import rootfs

    facts = verity_trees.load(_part(directory, rootfs.FACTS))
    parameters = read_text(bootargs)
    assembly.slot_trees(
        board,
        parameters,
        facts,
        _paths(directory),
        rollback_index=rollback_index,
        firmware_version=firmware_version,
    )
    console.status("OK: device trees of slots {}", " and ".join(assembly.SLOTS))


@app.command()
def parts(directory: _Directory, *, layout: _LayoutFile) -> None:
    """Write boot.img, the FIT with the PCR policy, and bootstate.img, the first slot state."""
    from bootseal.assembly import device as assembly

    _part(directory, assembly.ROLES["fit"])
    _part(directory, assembly.ROLES["policy"])
    assembly.boot_parts(_layout(layout), _paths(directory))
    console.status("OK: boot.img and bootstate.img")


@app.command()
def describe(
    directory: _Directory,
    *,
    name: Annotated[str, typer.Option(help="Short name of the device.")],
    keys: Annotated[Path, typer.Option(help="Key directory that signed it.")],
    layout: _LayoutFile,
    layer: Annotated[Path | None, typer.Option(help="The layer meta-secureboot.")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="List of the device's inputs, such as bitbake's manifest."),
    ] = None,
    qemu_system: Annotated[str, typer.Option(help="QEMU program.")] = "qemu-system-aarch64",
    qemu_machine: Annotated[
        str | None,
        typer.Option(help="QEMU -machine; leave it out for a board that QEMU does not have."),
    ] = None,
    qemu_cpu: Annotated[str, typer.Option(help="QEMU -cpu.")] = "cortex-a57",
    qemu_cpus: Annotated[int, typer.Option(min=1, metavar="N", help="Number of processors.")] = 2,
    qemu_memory: Annotated[int, typer.Option(min=1, metavar="N", help="Memory in MiB.")] = 1024,
    bootm_len: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="U-Boot's SYS_BOOTM_LEN, if there is no u-boot.config."),
    ] = None,
    fit_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Address to which U-Boot reads the FIT, if not ${fit_addr}."
        ),
    ] = None,
) -> None:
    """Write device.json, once the disk image exists.

    From then on this directory is a device for every command. The FIT is verified
    once more, with the key in the boot loader next to it; whether anyone can log in is found out
    from the root file system.
    """
    from bootseal import device
    from bootseal.assembly import device as assembly
    from bootseal.assembly import verity as verity_trees
    from bootseal.check.rootfs.check import image_offers_login
    from bootseal.device import Qemu
    from bootseal.disk.declared import of_disk
    from bootseal.reference import rootfs

    # An older one must not describe newer parts.
    (directory / device.FILE_NAME).unlink(missing_ok=True)
    paths = _verified_parts(directory)
    qemu = qemu_machine and Qemu(
        system=qemu_system, machine=qemu_machine, cpu=qemu_cpu, cpus=qemu_cpus, memory=qemu_memory
    )
    declared = of_disk(read_text(layout), layout.name, _part(directory, assembly.ROLES["disk"]))
    for file in assembly.extra_parts(declared).values():
        _part(directory, file)
    about = assembly.About(
        name=name,
        login=image_offers_login(paths["root"]),
        epoch=now(),
        qemu=qemu or None,
        keys=keys,
        root_hash=verity_trees.load(_part(directory, rootfs.FACTS)).root_hash,
        inputs=_inputs(layer, manifest),
        target=_target(directory, MemoryOptions(bootm_len=bootm_len, fit_address=fit_address)),
    )
    found = assembly.predictions(paths)
    device.save(assembly.describe(about, declared, found, directory), directory)
    console.status("OK: {}", directory / device.FILE_NAME)
    console.status("Next: bootseal {} {}", "boot run" if qemu else "disk check", directory)


def _inputs(layer: Path | None, manifest: Path | None) -> tuple[Input, ...]:
    """Return what a device was built from: the layer's files, and a manifest if there is one."""
    from bootseal import device
    from bootseal.assembly import device as assembly
    from bootseal.assembly.layer import Layer

    inputs = assembly.layer_inputs(Layer.find(layer))
    if manifest is not None:
        digest = device.digest_file(manifest)
        inputs.append(device.Input(name=manifest.name, version="", sha256=digest))
    return tuple(inputs)


def _target(directory: Path, options: MemoryOptions) -> Target:
    """Return how the boot loader uses memory: as options say, or else as it says itself."""
    from bootseal.assembly import device as assembly
    from bootseal.target import Target

    said = options.target()
    read = assembly.target(_paths(directory), directory / assembly.OPTIONAL["uboot-config"])
    return Target(
        bootm_len=said.bootm_len or read.bootm_len,
        fit_address=read.fit_address if said.fit_address is None else said.fit_address,
    )


def _paths(directory: Path) -> dict[str, Path]:
    from bootseal.assembly import device as assembly
    from bootseal.assembly import firmware

    files = assembly.ROLES | firmware.FILES
    return {role: directory / name for role, name in files.items()}


def _verified_parts(directory: Path) -> dict[str, Path]:
    """Return the parts, once the boot loader's keys accept the FIT."""
    from bootseal.assembly import device as assembly
    from bootseal.files import BOOT_LOADER
    from bootseal.fit.boot_loader import locate
    from bootseal.fit.verify.verdict import verify as verify_fit
    from bootseal.formats.kinds.kind import FIT, U_BOOT

    paths = _paths(directory)
    for file in assembly.ROLES.values():
        _part(directory, file)
    boot_loader = read(paths["bios"], U_BOOT, limit=BOOT_LOADER)
    start, end = locate(boot_loader)
    if boot_loader[start:end] != read(paths["control-dtb"], U_BOOT, limit=BOOT_LOADER):
        raise UsageError(
            f"{paths['control-dtb']} is not the device tree in {paths['bios']}: they are from "
            "different builds"
        )
    with opened(paths["fit"], FIT) as data:
        verify_fit(data, boot_loader[start:end])
    return paths


def _part(directory: Path, name: str) -> Path:
    path = directory / name
    if not path.is_file():
        raise UsageError(f"{directory} has no {name}: an earlier step makes it")
    return path


def _layout(path: Path) -> Layout:
    from bootseal.disk.layout import parse_wks

    return parse_wks(read_text(path), path.name)


def _verdict(
    finished: Path, given: Sequence[Fragment], found: Sequence[Problem]
) -> dict[str, object]:
    return {
        "schema": "bootseal.config-verdict/1",
        "accepted": not found,
        "config": str(finished),
        "fragments": [
            {"file": each.file, "role": each.role, "settings": len(each.settings)} for each in given
        ],
        "problems": [dataclasses.asdict(problem) for problem in found],
    }
