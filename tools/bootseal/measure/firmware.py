# SPDX-License-Identifier: MIT
"""What the boot ROM and TF-A measure before U-Boot: all into PCR 0, with SHA-256 only.

BL1 measures BL2, and BL2 measures BL31 and BL33, which is U-Boot with its control device tree. They
begin the event log that U-Boot continues.

Spec: TCG PC Client Platform Firmware Profile 1.05, section 10; TF-A, bootseal_log.c of the layer.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.files import BOOT_LOADER, read_bounded
from bootseal.firmware.banks import IMAGES
from bootseal.formats.tpm.eventlog import PCR_FIRMWARE, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bootseal.device import Device
    from bootseal.formats.fip import Fip

ROLES: Final = {"bl2": b"BL_2\0", "bl31": b"SECURE_RT_EL3\0", "bios": b"BL_33\0"}
"""The artefacts that are measured, in order, each with the data of its event."""
# The TPM was started at locality 0, so PCR 0 begins as zeros.
_STARTED: Final = Event(
    pcr=PCR_FIRMWARE,
    type=EventType.NO_ACTION,
    digests={"sha256": bytes(32)},
    data=b"StartupLocality\0\0",
)


def events(images: Mapping[str, bytes]) -> tuple[Event, ...]:
    """Return the beginning of the event log.

    Args:
        images: The images by the roles of `ROLES`.
    """
    measured = (
        Event(
            pcr=PCR_FIRMWARE,
            type=EventType.POST_CODE,
            digests={"sha256": hashlib.sha256(images[role]).digest()},
            data=data,
        )
        for role, data in ROLES.items()
    )
    return (_STARTED, *measured)


def images(found: Fip) -> dict[str, bytes]:
    """Return the images of a FIP by the roles of `ROLES`.

    Raises:
        FormatError: One is missing.
    """
    taken: dict[str, bytes] = {}
    for role, name in IMAGES.items():
        image = found.image(name)
        if image is None:
            raise FormatError(f"the FIP has no {name}: its measurements cannot be predicted")
        taken[role] = image
    return taken


def of_device(device: Device, directory: Path) -> tuple[Event, ...]:
    """Return the beginning of a device's event log; nothing for one without a boot ROM.

    Raises:
        FormatError: `device.json` does not list an image.
    """
    if device.firmware is None:
        return ()
    files = {role: device.artefact(directory, role) for role in ROLES}
    return events({role: read_bounded(path, limit=BOOT_LOADER) for role, path in files.items()})
