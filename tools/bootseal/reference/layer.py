# SPDX-License-Identifier: MIT
"""The Yocto layer's own files, and where each goes on the reference device.

The recipes install the same files from the same places, so the tables here and the recipes'
`do_install` must say the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bootseal import device
from bootseal.errors import UsageError

UBOOT: Final = "recipes-bsp/u-boot/files"
INITRAMFS: Final = "recipes-core/secureboot-initramfs/files"
DEVICE: Final = "recipes-core/secureboot-device/files"

BOARD_DTS: Final = f"{UBOOT}/qemu-virt-secureboot.dts"
BOOTARGS: Final = f"{UBOOT}/bootargs"
INITRAMFS_INIT: Final = f"{INITRAMFS}/init"
LAYOUT: Final = "files/wic/secureboot-ab.wks"

# Files below DEVICE: what they are called there, the directory they go to, their mode. A pattern
# with a directory keeps what lies below that directory, so `unit.service.d/x.conf` works.
_UNITS: Final = "usr/lib/systemd/system"
_PLACES: Final = (
    ("repart.d/*.conf", "usr/lib/repart.d", 0o644),
    ("tmpfiles.d/*.conf", "usr/lib/tmpfiles.d", 0o644),
    ("sysctl.d/*.conf", "usr/lib/sysctl.d", 0o644),
    ("sysusers.d/*.conf", "usr/lib/sysusers.d", 0o644),
    ("modprobe.d/*.conf", "usr/lib/modprobe.d", 0o644),
    ("modules-load.d/*.conf", "usr/lib/modules-load.d", 0o644),
    ("system.conf.d/*.conf", "usr/lib/systemd/system.conf.d", 0o644),
    ("journald.conf.d/*.conf", "usr/lib/systemd/journald.conf.d", 0o644),
    ("*.service.d/*.conf", f"{_UNITS}/*", 0o644),
    ("*.preset", "usr/lib/systemd/system-preset", 0o644),
    ("*.rules", "usr/lib/udev/rules.d", 0o644),
    ("*.service", _UNITS, 0o644),
    ("*.socket", _UNITS, 0o644),
    ("*.target", _UNITS, 0o644),
    ("*.mount", _UNITS, 0o644),
    ("*.timer", _UNITS, 0o644),
    ("*.path", _UNITS, 0o644),
    ("fw_env.config", "etc", 0o644),
    ("fstab", "etc", 0o644),
    ("crypttab", "etc", 0o644),
    ("hostname", "etc", 0o644),
    ("issue", "etc", 0o644),
    ("secureboot-*", "usr/bin", 0o755),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A file of the layer and its absolute place, without the leading slash, on the device."""

    source: Path
    target: PurePosixPath
    mode: int


class Layer:
    """The layer `meta-secureboot` in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def find(cls, directory: Path | None = None) -> Layer:
        """Return the layer in `directory`, in `BOOTSEAL_LAYER`, or beside this source tree.

        Raises:
            UsageError: There is none.
        """
        named = directory or os.environ.get("BOOTSEAL_LAYER")
        chosen = Path(named) if named else Path(__file__).parents[3] / "meta-secureboot"
        if not (chosen / UBOOT).is_dir():
            raise UsageError(
                f"{chosen} is not the layer meta-secureboot: it has no directory {UBOOT}",
                hint="name it with --layer DIR",
            )
        return cls(chosen.absolute())

    def file(self, name: str) -> Path:
        """Return a file of the layer.

        Raises:
            UsageError: It is not there.
        """
        path = self.directory / name
        if not path.is_file():
            raise UsageError(f"the layer has no file {name} (looked for {path})")
        return path

    def uboot_files(self, pattern: str) -> tuple[Path, ...]:
        """Return U-Boot's fragments (`*.cfg`), patches (`*.patch`) or environments (`*.env`)."""
        return tuple(sorted((self.directory / UBOOT).glob(pattern)))

    def device_files(self) -> tuple[Installed, ...]:
        """Return what is installed on the root file system.

        Raises:
            UsageError: No rule says where a file goes.
        """
        base = self.directory / DEVICE
        files = sorted(path for path in base.rglob("*") if path.is_file())
        return tuple(_place(path, PurePosixPath(path.relative_to(base))) for path in files)


def _place(source: Path, name: PurePosixPath) -> Installed:
    for pattern, directory, mode in _PLACES:
        if len(name.parts) == len(PurePosixPath(pattern).parts) and name.match(pattern):
            parent = directory.replace("*", name.parent.name)
            return Installed(source=source, target=PurePosixPath(parent) / name.name, mode=mode)
    raise UsageError(
        f"{source}: no rule says where this file of the layer goes on the device",
        hint="add one to the table in bootseal/reference/layer.py and to the recipe",
    )


def digests(files: tuple[Path, ...]) -> dict[str, str]:
    """Return the SHA-256 of each file by name."""
    return {path.name: device.digest_file(path) for path in files}
