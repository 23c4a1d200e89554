# SPDX-License-Identifier: MIT
"""What a disk is checked against: the declared layout, the boot loader and its keys, the slots."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bootseal import device as devices
from bootseal.device import Device, Firmware, Partition, RawArea, Slot
from bootseal.errors import FormatError, UsageError
from bootseal.files import BOOT_LOADER, read_bounded
from bootseal.formats.uboot.binary import version_string
from bootseal.target import UNKNOWN_TARGET, Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bootseal.disk.layout import Layout
    from bootseal.keys.public import PublicKey

_log: Final = logging.getLogger(__name__)

BOOTSTATE: Final = "bootstate"
DATA: Final = "data"
_BOOT: Final = "boot-"
_KEYS: Final = "keys"
_NO_FILES: Final[Mapping[str, Path]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a disk is checked against.

    Attributes:
        image: The disk image, or its `.bmap` file.
        control: U-Boot as a file: `u-boot.bin`, ELF, or its control device tree alone.
        partitions: The declared partitions; empty when nothing declares them.
        disk_guid: The declared GUID of the disk, lower case; empty when nothing declares it.
        slots: The bootable slots; `root_hash` and `pcrs` are empty when nothing predicts them.
        policy_key: The key that must have signed the PCR policy; None when it is not known.
        app_keys: Fingerprints of the keys that sign its applications; empty when not known.
        fit_key: Fingerprint of the key U-Boot must require; empty when nothing says so.
        device: The device's description; None for an image on its own.
        directory: The directory of that.
        memory: The memory of the board.
        areas: What belongs on the disk besides the slots and what goes with them.
        area_files: The files that these hold, by name, as far as they are at hand.
        firmware: What its boot ROM starts; None for a device that starts with U-Boot, and where
            nothing says.
    """

    image: Path
    control: bytes
    partitions: tuple[Partition, ...]
    slots: tuple[Slot, ...]
    policy_key: PublicKey | None = None
    app_keys: frozenset[str] = frozenset()
    fit_key: str = ""
    disk_guid: str = ""
    device: Device | None = field(default=None)
    directory: Path | None = None
    memory: Target = UNKNOWN_TARGET
    areas: tuple[RawArea, ...] = ()
    area_files: Mapping[str, Path] = field(default_factory=dict)
    firmware: Firmware | None = None

    @property
    def version(self) -> bytes | None:
        """U-Boot's version string, which it measures; None when there is only its device tree."""
        try:
            return version_string(self.control)
        except FormatError:
            return None

    @property
    def artefacts(self) -> dict[str, Path]:
        """The files of the build by role; empty for an image on its own."""
        if self.device is None or self.directory is None:
            return {}
        return {r: self.directory / a.path for r, a in self.device.artefacts.items()}


def of_device(directory: Path, *, policy_key: PublicKey | None = None) -> Expected:
    """Return what the disk of a build directory is checked against.

    Args:
        directory: Holds a `device.json`.
        policy_key: The policy key; None takes that of the directory's own `keys`, if it has any,
            and with it those of the keys for applications.

    Raises:
        UsageError: The directory holds no built device, or lacks the files it lists.
        FormatError: Its description is malformed.
    """
    device = devices.load(directory)
    names = ", ".join(slot.name for slot in device.slots)
    _log.info("%s: slots %s, layout and keys of %s", directory, names, devices.FILE_NAME)
    bios = device.artefact(directory, "bios")
    try:
        control = read_bounded(bios, limit=BOOT_LOADER)
    except FileNotFoundError:
        raise UsageError(f"{bios} is missing, which {devices.FILE_NAME} lists") from None
    keys = directory / _KEYS
    app_keys: frozenset[str] = frozenset()
    if policy_key is None and keys.is_dir():
        from bootseal.keys import manifest, profile  # noqa: PLC0415 - slow to load
        from bootseal.keys.directory import directory as key_directory  # noqa: PLC0415 - slow to load

        policy_key = key_directory.find(keys, profile.Role.POLICY).public_key
        app_keys = frozenset(
            each.public_key.fingerprint()
            for each in key_directory.list_keys(keys).keys
            if each.role is profile.Role.APP and each.state is not manifest.KeyState.REVOKED
        )
    return Expected(
        image=device.artefact(directory, "disk"),
        control=control,
        partitions=device.partitions,
        disk_guid=device.disk_guid.lower(),
        slots=device.slots,
        policy_key=policy_key,
        app_keys=app_keys,
        fit_key=device.keys.get("fit", ""),
        device=device,
        directory=directory,
        memory=device.target,
        areas=device.areas,
        area_files={
            area.name: directory / area.file
            for area in device.areas
            if area.file and (directory / area.file).is_file()
        },
        firmware=device.firmware,
    )


def of_layout(
    image: Path,
    control: bytes,
    layout: Layout,
    *,
    policy_key: PublicKey | None = None,
    memory: Target = UNKNOWN_TARGET,
    area_files: Mapping[str, Path] = _NO_FILES,
) -> Expected:
    """Return what an image on its own is checked against.

    Each partition `boot-X` of the layout makes a slot X with the configuration `conf-X`, the root
    `root-X` and its hash tree `root-X-verity`.

    Args:
        image: The disk image.
        control: U-Boot.
        layout: The declared layout.
        policy_key: The key that must have signed the PCR policy.
        memory: The memory of the board.
        area_files: The files of what the layout declares besides the slots, by name.

    Raises:
        UsageError: The layout has no slot, a slot lacks one of its partitions, or there is no such
            area.
    """
    names = [partition.name for partition in layout.partitions]
    found = [name.removeprefix(_BOOT) for name in names if name.startswith(_BOOT)]
    slots = tuple(Slot.named(name) for name in found)
    _log.info("%s: slots %s of the declared layout", image, ", ".join(found))
    missing = [n for s in slots for n in (s.root, s.verity) if n not in names]
    if missing or not slots:
        lack = f"the partition {missing[0]!r}" if missing else f"a partition {_BOOT}X"
        raise UsageError(f"the layout lacks {lack}: it declares {', '.join(names)}")
    unverified = layout.unverified
    if unknown := [name for name in area_files if all(a.name != name for a in unverified)]:
        areas = ", ".join(area.name for area in unverified) or "none"
        raise UsageError(
            f"the layout declares no {unknown[0]!r} besides the slots: it declares {areas}"
        )
    return Expected(
        image=image,
        control=control,
        disk_guid=layout.label_id if layout.names_disk else "",
        areas=unverified,
        area_files=area_files,
        partitions=tuple(
            replace(each, uuid="") if each.name in layout.drawn else each
            for each in layout.partitions
        ),
        slots=slots,
        policy_key=policy_key,
        memory=memory,
    )
