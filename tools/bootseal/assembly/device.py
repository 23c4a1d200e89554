# SPDX-License-Identifier: MIT
"""What a device directory holds: its artefacts, its slots, and the description of both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import bootseal
from bootseal import device
from bootseal.assembly import disk_image, firmware
from bootseal.assembly import slot_trees as devicetree
from bootseal.device import Device, Input, Qemu, Slot
from bootseal.files import BOOT_LOADER, mapped, read_bounded
from bootseal.formats import boot_partition, kconfig
from bootseal.formats.fit import model as fit_format
from bootseal.formats.uboot import binary as uboot
from bootseal.formats.uboot import slot_state
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.measure import firmware as measured
from bootseal.measure.predict import MEANINGS, predict
from bootseal.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bootseal.assembly.layer import Layer
    from bootseal.assembly.verity import Verity
    from bootseal.disk.layout import Layout
    from bootseal.measure.predict import Prediction

SLOTS: Final = ("a", "b")
# What a new device starts with: both slots with all attempts left, a first.
SLOT_STATE: Final = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}

ROLES: Final = {
    "disk": "disk.img",
    "bios": firmware.U_BOOT,
    "control-dtb": "control.dtb",
    "fit": "fit.itb",
    "policy": "tpm2-pcr-signature.json",
    "kernel": "Image.gz",
    "initramfs": "initramfs.cpio.gz",
    "root": "root.erofs",
    "root-verity": "root.verity",
    "fdt-a": "fdt-a.dtb",
    "fdt-b": "fdt-b.dtb",
    "boot": "boot.img",
    "bootstate": "bootstate.img",
}
"""Artefact roles and file names; the names are also those the layout's `file=` uses."""
OPTIONAL: Final = firmware.FILES | {
    "uboot-config": "u-boot.config",
    "null-cipher": "crypto_null.ko",
}
"""Likewise, for what a device may lack: a boot ROM and its firmware, U-Boot's finished .config, and
a module of its kernel that no image has and two scenarios load."""
_VARIANT: Final = "u-boot-*.config"
_BOOTM_LEN: Final = "CONFIG_SYS_BOOTM_LEN"
# Of the boot logic; U-Boot reads numbers as hexadecimal, with or without the prefix.
_FIT_ADDRESS: Final = "fit_addr"
_NUMBER: Final = re.compile(r"(?:0x)?[0-9A-Fa-f]{1,8}")
FILES: Final = frozenset({*ROLES.values(), *OPTIONAL.values()})


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What `device.json` says beyond what can be read from the artefacts.

    Attributes:
        name: Short name.
        login: Whether the image offers a root shell on its serial console.
        epoch: SOURCE_DATE_EPOCH, seconds since 1970.
        qemu: The virtual machine it was built for, if it was.
        keys: Key directory it was signed with.
        root_hash: dm-verity root hash, lower-case hex.
        inputs: What it was made from.
        target: Where the memory of the board is.
    """

    name: str
    login: bool
    epoch: int
    qemu: Qemu | None
    keys: Path
    root_hash: str
    inputs: tuple[Input, ...]
    target: Target


def target(paths: Mapping[str, Path], config: Path) -> Target:
    """Return what U-Boot says about the memory of its board.

    Args:
        paths: The artefacts by role.
        config: U-Boot's finished .config; it need not be there.

    Raises:
        FormatError: The .config is malformed.
    """
    settings = kconfig.parse(read_bounded(config), config.name) if config.is_file() else {}
    length = settings.get(_BOOTM_LEN)
    address = uboot.variable(read_bounded(paths["bios"], limit=BOOT_LOADER), _FIT_ADDRESS)
    return Target(
        bootm_len=int(length.value, 16) if length and _NUMBER.fullmatch(length.value) else None,
        fit_address=int(address, 16) if _NUMBER.fullmatch(address) else None,
    )


def slot_trees(
    board: Path,
    parameters: str,
    verity: Verity,
    paths: Mapping[str, Path],
    *,
    rollback_index: int,
    firmware_version: int | None = None,
) -> None:
    """Write the device tree of each slot.

    Args:
        board: Device tree of the board, source or compiled.
        parameters: Kernel parameters of both slots.
        verity: What opens the root file system.
        paths: Where the artefacts go, by role.
        rollback_index: Security version of the system.
        firmware_version: The lowest one of the boot loaders that it is approved with; None
            without a boot ROM.

    Raises:
        UsageError: The kernel parameters cannot be put into a device tree.
        ToolError: The device tree has errors.
    """
    source = devicetree.read_source(board)
    for slot in SLOTS:
        text = devicetree.for_slot(
            source, devicetree.bootargs(parameters, slot, verity), rollback_index, firmware_version
        )
        paths[f"fdt-{slot}"].write_bytes(devicetree.compile_dts(text, board.parent))


def predictions(paths: Mapping[str, Path]) -> dict[str, Prediction]:
    """Predict what each slot measures, from the artefacts alone."""
    images = {
        role: read_bounded(paths[role], limit=BOOT_LOADER)
        for role in measured.ROLES
        if role in paths and paths[role].is_file()
    }
    version = uboot.version_string(images["bios"])
    before = measured.events(images) if set(measured.ROLES) <= set(images) else ()
    with mapped(paths["fit"]) as data:
        fit = fit_format.parse(data)
    return {slot: predict(fit, f"conf-{slot}", version=version, before=before) for slot in SLOTS}


def boot_parts(layout: Layout, paths: Mapping[str, Path]) -> None:
    """Write what goes into the boot partitions and into the slot state, out of FIT and policy.

    A release for a device with a boot ROM brings the boot loaders of the same build.

    Raises:
        UsageError: They do not fit.
    """
    boot = layout.partition("boot-a")
    loaders = b""
    if (path := paths.get("firmware")) is not None and path.is_file():
        loaders = read_bounded(path, limit=BOOT_LOADER)
    with mapped(paths["fit"]) as fit:
        policy = read_bounded(paths["policy"])
        content = boot_partition.emit(bytes(fit), policy, boot.size, loaders)
    disk_image.write_sparse(content, paths["boot"])
    state = slot_state.emit(SLOT_STATE, layout.partition("bootstate").size)
    disk_image.write_sparse(state, paths["bootstate"])


def describe(
    about: About, layout: Layout, predictions: Mapping[str, Prediction], directory: Path
) -> Device:
    """Describe the device whose artefacts are in `directory` under the names of `ROLES`.

    Raises:
        UsageError: The key directory cannot be read.
        FormatError: A file of the boot ROM or its firmware is missing or malformed.
        VerificationRefused: The boot ROM would not start the firmware.
    """
    keys = key_directory.list_keys(about.keys)
    root_key = next((k.public_key.fingerprint() for k in keys.keys if k.role is Role.MRK), "")
    return Device(
        name=about.name,
        profile=keys.profile,
        login=about.login,
        epoch=about.epoch,
        qemu=about.qemu,
        artefacts={
            role: device.describe(directory, directory / name)
            for role, name in (ROLES | _optional(directory) | extra_parts(layout)).items()
        },
        partitions=layout.partitions,
        disk_guid=layout.label_id if layout.names_disk else "",
        areas=layout.unverified,
        slots=tuple(
            Slot.named(
                slot,
                root_hash=about.root_hash,
                pcrs={str(pcr): found.pcrs[pcr].hex() for pcr in MEANINGS},
                events=found.measurements,
            )
            for slot, found in predictions.items()
        ),
        keys={
            key.role.value: key.public_key.fingerprint()
            for key in keys.keys
            if key.role in {Role.FIT, Role.POLICY}
        },
        inputs=about.inputs,
        target=about.target,
        firmware=firmware.describe(directory, root_key),
    )


def extra_parts(layout: Layout) -> dict[str, str]:
    """Return the files that the layout puts onto the disk besides those of `ROLES`, by role."""
    return {f"part-{area.name}": area.file for area in layout.unverified if area.file}


def _optional(directory: Path) -> dict[str, str]:
    """Return the optional files that are there, by role, with a .config for each U-Boot variant."""
    found = {
        f"uboot-config-{path.stem.removeprefix('u-boot-')}": path.name
        for path in sorted(directory.glob(_VARIANT))
    }
    return {role: name for role, name in OPTIONAL.items() if (directory / name).is_file()} | found


def layer_inputs(files: Layer) -> list[Input]:
    """List the layer's files that can decide what the device is."""
    return [
        Input(
            name=f"meta-secureboot/{path.relative_to(files.directory)}",
            version=bootseal.__version__,
            sha256=device.digest_file(path),
        )
        for path in files.inputs()
    ]
