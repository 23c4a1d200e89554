# SPDX-License-Identifier: MIT
"""The boot ROM of a device directory, and the firmware that it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.device import Firmware
from bootseal.errors import FormatError, VerificationRefused
from bootseal.files import BOOT_LOADER, read_bounded
from bootseal.findings.model import refuse
from bootseal.firmware import banks, rom, verify
from bootseal.formats import fip

if TYPE_CHECKING:
    from pathlib import Path

FILES: Final = {
    "rom": "rom.bin",
    "firmware": "firmware.fip",
    "bl2": "bl2.bin",
    "bl31": "bl31.bin",
}
"""Artefact roles and file names; the layout's `file=` uses that of the firmware."""
U_BOOT: Final = "u-boot.bin"
"""Likewise of U-Boot, the artefact `bios`."""


def describe(directory: Path, root_hash: str) -> Firmware | None:
    """Verify the boot ROM and the firmware, and describe them.

    Args:
        directory: Holds `FILES` and U-Boot; without any of these it is a device without a ROM.
        root_hash: SHA-256 of the master root key's SubjectPublicKeyInfo, lower-case hex.

    Raises:
        FormatError: A file is missing or malformed.
        VerificationRefused: The ROM does not hold this hash alone, or would refuse the firmware,
            or that is not what the other files are.
    """
    there = [name for name in FILES.values() if (directory / name).is_file()]
    if not there:
        return None
    if missing := sorted(set(FILES.values()) - set(there)):
        raise FormatError(f"{directory} holds {', '.join(there)} but no {', '.join(missing)}")
    for name, what in (("rom.bin", "BL1"), ("bl2.bin", "BL2")):
        rom.check(_read(directory / name), root_hash, what)
    path = directory / FILES["firmware"]
    found = fip.parse(_read(path))
    verdict = verify.check(found, root_hash)
    refuse(verdict.findings, f"{path} would not start")
    names = FILES | {"bios": U_BOOT}
    for name, image in ((names[role], image) for role, image in banks.IMAGES.items()):
        if found.image(image) != _read(directory / name):
            raise VerificationRefused(
                f"{image} in {path} is not {name}: they are from different builds"
            )
    counters = sorted(set(verdict.counters.values()))
    if len(counters) != 1:
        raise VerificationRefused(
            f"the counters of {path} are {counters}: expected both to be the security version"
        )
    return Firmware(mrk=root_hash, counter=counters[0], banks=banks.NAMES)


def _read(path: Path) -> bytes:
    return read_bounded(path, limit=BOOT_LOADER)
