# SPDX-License-Identifier: MIT
"""The Yocto layer's own files, and where each goes on the reference device.

The recipes install the same files from the same places, so the tables here and the recipes'
`do_install` must say the same.
"""

from __future__ import annotations

import fnmatch
import logging
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bootseal import device
from bootseal.errors import UsageError

_log: Final = logging.getLogger(__name__)

UBOOT: Final = "recipes-bsp/u-boot/files"
TFA: Final = "recipes-bsp/trusted-firmware-a/files"
INITRAMFS: Final = "recipes-core/bootseal-initramfs/files"
DEVICE: Final = "recipes-core/bootseal-device/files"
IDENTITY: Final = "recipes-core/bootseal-identity/files"
APP: Final = "recipes-core/bootseal-app/files"
STATE: Final = "recipes-core/bootseal-state/files"
BOOT_LOADERS: Final = "recipes-core/bootseal-boot-loaders/files"
AGENT: Final = "dynamic-layers/meta-rauc/recipes-core/bootseal-agent/files"
UPDATE: Final = "dynamic-layers/meta-rauc/recipes-core/bootseal-update/files"

BOOTARGS: Final = f"{UBOOT}/bootargs"
AGENT_CONFIGURATION: Final = f"{AGENT}/agent.toml.in"
RAUC: Final = f"{UPDATE}/system.conf.in"
INITRAMFS_INIT: Final = f"{INITRAMFS}/init"
# What no device may start, and what the reference device does without.
MASKED_UNITS: Final = (f"{DEVICE}/masked-units", f"{DEVICE}/minimal-masked-units")
# What devices do without that have neither updates nor applications.
_BUS_UNITS: Final = f"{DEVICE}/bus-masked-units"
# What templates have instead of the name that bundles must give as `compatible`.
_COMPATIBLE: Final = "@COMPATIBLE@"

# Folders with files of the device's root: the directory each file goes to, and its mode. The first
# pattern that matches counts.
_DEVICE_FOLDERS: Final = (DEVICE, BOOT_LOADERS, IDENTITY, STATE, APP, UPDATE, AGENT)
_UNITS: Final = "usr/lib/systemd/system"
_PLACES: Final = {
    # For devices with encrypted data, instead of the unit of the same name.
    "data/*.service": ("etc/systemd/system", 0o644),
    "*.service": (_UNITS, 0o644),
    "*.mount": (_UNITS, 0o644),
    "*.path": (_UNITS, 0o644),
    "*.timer": (_UNITS, 0o644),
    "*.preset": ("usr/lib/systemd/system-preset", 0o644),
    "udev-trigger.conf": (f"{_UNITS}/systemd-udev-trigger.service.d", 0o644),
    "*.network": ("usr/lib/systemd/network", 0o644),
    "50-data.conf": ("usr/lib/repart.d", 0o644),
    "agent.tmpfiles": ("usr/lib/bootseal", 0o644),
    "app-inside": ("usr/lib/bootseal", 0o755),
    "*.tmpfiles": ("usr/lib/bootseal", 0o644),
    "app-install": ("usr/lib/bootseal", 0o755),
    "boot-loaders": ("usr/lib/bootseal", 0o755),
    "bootseal-agent.conf": ("usr/lib/sysusers.d", 0o644),
    "bootseal-app": ("usr/bin", 0o755),
    "bootseal-attest": ("usr/bin", 0o755),
    "bootseal-data": ("usr/bin", 0o755),
    "bootseal-identity": ("usr/bin", 0o755),
    "bootseal-status": ("usr/bin", 0o755),
    "measure.conf": (f"{_UNITS}/systemd-cryptsetup@data.service.d", 0o644),
    "clock-epoch": ("usr/lib", 0o644),
    "check-header": ("usr/lib/bootseal", 0o755),
    "create-data": ("usr/lib/bootseal", 0o755),
    "fall-back": ("usr/lib/bootseal", 0o755),
    "fetch-policy": ("usr/lib/bootseal", 0o755),
    "identity-key.pem": ("usr/lib/bootseal", 0o644),
    "identity.env": ("usr/lib/bootseal", 0o644),
    "luks2": ("usr/lib/bootseal", 0o644),
    "mark-good": ("usr/lib/bootseal", 0o755),
    "openssl.cnf": ("usr/lib/bootseal", 0o644),
    "de.pengutronix.rauc.conf": ("usr/share/dbus-1/system.d", 0o644),
    "rauc-backend": ("usr/lib/bootseal", 0o755),
    "rauc-pre-install": ("usr/lib/bootseal", 0o755),
    "read-fit": ("usr/lib/bootseal", 0o755),
    "rauc-service.conf": (f"{_UNITS}/rauc.service.d", 0o644),
    "slot-state": ("usr/lib/bootseal", 0o644),
    "state": ("usr/lib/bootseal", 0o755),
    "rollback": ("usr/lib/bootseal", 0o755),
    "token-group": ("usr/lib/bootseal", 0o644),
    "tpm": ("usr/lib/bootseal", 0o644),
    "volume": ("usr/lib/bootseal", 0o755),
    "crypttab": ("etc", 0o644),
    "fstab": ("etc", 0o644),
    "fw_env-copy.config": ("etc", 0o644),
    "fw_env.config": ("etc", 0o644),
}
# The agent is a Python package next to the layer.
_PACKAGE: Final = PurePosixPath("tools/bootseal_agent")
_PYTHON: Final = PurePosixPath("usr/lib/python3/dist-packages")
# Only images that offer a root shell on the console get these.
_DEVELOPMENT: Final = ("bootseal-shell.service",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The layer's files for the reference device: QEMU's virt machine with a boot ROM.

    Attributes:
        machine: QEMU's -machine.
        dts: Its device tree.
        configs: Of the fragments for U-Boot, those that a board would bring along.
        others: Of the fragments for U-Boot, those that are for boards without a boot ROM.
        layout: The disk.
    """

    machine: str
    dts: str
    configs: tuple[str, ...]
    others: tuple[str, ...]
    layout: str


BOARD: Final = Board(
    machine="virt-7.2,secure=on,gic-version=3",
    dts=f"{UBOOT}/qemu-virt-bootseal-rom.dts",
    configs=(f"{UBOOT}/qemu-virt.cfg", f"{UBOOT}/qemu-virt-rom.cfg"),
    # The boot ROM measures before U-Boot.
    others=(f"{UBOOT}/qemu-virt-bios.cfg", f"{UBOOT}/measured-first.cfg"),
    layout="files/wic/bootseal-ab-rom.wks",
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
        """Return the layer in `directory`, in `BOOTSEAL_LAYER`, or next to this source tree.

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
        _log.info("layer: %s", chosen)
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

    def tfa_patches(self) -> tuple[Path, ...]:
        """Return the patches for TF-A."""
        return tuple(sorted((self.directory / TFA).glob("*.patch")))

    def tfa_sources(self) -> tuple[Path, ...]:
        """Return the source files that we add to TF-A."""
        folder = self.directory / TFA / "bootseal"
        return tuple(sorted(path for path in folder.glob("*") if path.is_file()))

    def inputs(self) -> tuple[Path, ...]:
        """Return every file of the layer that can decide what the device is."""
        folders = (self.directory / name for name in (TFA, UBOOT, INITRAMFS, *_DEVICE_FOLDERS))
        found = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
        return tuple(sorted(found | set(self.file(BOARD.layout).parent.glob("*.wks"))))

    def device_files(self, *, login: bool) -> tuple[Installed, ...]:
        """Return what is installed on the root file system.

        Args:
            login: Whether the image offers a root shell on its console.

        Raises:
            UsageError: No rule says where a file goes.
        """
        lists = (
            PurePosixPath(name).name
            for name in (*MASKED_UNITS, _BUS_UNITS, RAUC, AGENT_CONFIGURATION)
        )
        skipped = {*lists, *(() if login else _DEVELOPMENT)}
        return tuple(
            _place(path, path.relative_to(folder).as_posix())
            for folder in (self.directory / name for name in _DEVICE_FOLDERS)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in skipped
        )

    def rauc(self, compatible: str) -> bytes:
        """Return RAUC's system.conf for devices of a name, which a bundle has to give as its own.

        Raises:
            UsageError: The layer has no template of it.
        """
        return self.file(RAUC).read_text().replace(_COMPATIBLE, compatible).encode()

    def agent(self) -> tuple[Installed, ...]:
        """Return the modules of the update agent, which are next to the layer.

        Raises:
            UsageError: They are not there.
        """
        folder = self.directory.parent / _PACKAGE
        found = sorted(folder.glob("*.py"))
        if not found:
            raise UsageError(f"{folder} does not contain the update agent", hint="--layer DIR")
        place = _PYTHON / _PACKAGE.name
        return tuple(Installed(source=f, target=place / f.name, mode=0o644) for f in found)

    def agent_configuration(self, *, host: str, compatible: str, version: str) -> bytes:
        """Return the agent's configuration.

        Args:
            host: The broker.
            compatible: The board, in RAUC's words.
            version: The release's version.

        Raises:
            UsageError: The layer has no template of it.
        """
        text = self.file(AGENT_CONFIGURATION).read_text()
        values = {"HOST": host, "COMPATIBLE": compatible, "VERSION": version}
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        return text.encode()

    def masked_units(self) -> tuple[str, ...]:
        """Return the names of the units that never start on the reference device."""
        lines = [line for name in MASKED_UNITS for line in self.file(name).read_text().splitlines()]
        return tuple(sorted(line for line in lines if line and not line.startswith("#")))


def _place(source: Path, name: str) -> Installed:
    for pattern, (directory, mode) in _PLACES.items():
        if fnmatch.fnmatchcase(name, pattern):
            target = PurePosixPath(directory) / source.name
            return Installed(source=source, target=target, mode=mode)
    raise UsageError(
        f"{source}: there is no rule for where this file of the layer goes on the device",
        hint="add one to the table in bootseal/assembly/layer.py and to the recipe",
    )


def digests(files: tuple[Path, ...]) -> dict[str, str]:
    """Return the SHA-256 of each file by name."""
    return {path.name: device.digest_file(path) for path in files}
