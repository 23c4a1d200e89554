# SPDX-License-Identifier: MIT
"""Predict what a boot of a FIT configuration measures, without a TPM and without U-Boot."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.device import PredictedEvent
from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.tpm import eventlog
from bootseal.formats.tpm.eventlog import (
    PCR_CONFIGURATION,
    PCR_FIRMWARE,
    PCR_INITRAMFS,
    PCR_KERNEL,
    Event,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.formats.fit.model import Configuration, Fit

MEANINGS: Final = {
    PCR_FIRMWARE: "boot loaders and U-Boot's version string",
    PCR_CONFIGURATION: "device tree and boot arguments",
    PCR_KERNEL: "kernel",
    PCR_INITRAMFS: "initramfs",
}
"""What the PCRs that tell something mean; 2 to 7 are the same on every device."""

CAP: Final = hashlib.sha256(b"capped").digest()
"""What bootseal-cap.service extends PCR 9 with, so that nothing unseals again in that boot."""

ROLLBACK_PROPERTY: Final = "bootseal,rollback-index"
FIRMWARE_PROPERTY: Final = "bootseal,firmware-version"
_CELL: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What `bootm ADDR#configuration` will measure.

    Attributes:
        configuration: Name of the configuration node.
        events: The measurements in U-Boot's order, with a digest for each bank; without those
            into PCR 0 when U-Boot's version is not known.
        pcrs: SHA-256 PCR values after them, by index.
        rollback_index: Security version in the device tree's `/chosen`, 0 when it has none.
        firmware_version: The lowest security version of the boot loaders that the release is
            approved with, from the same place; None for a device without a boot ROM.
    """

    configuration: str
    events: tuple[Event, ...]
    pcrs: dict[int, bytes]
    rollback_index: int = 0
    firmware_version: int | None = None

    @property
    def complete(self) -> bool:
        """Whether PCR 0 is predicted too."""
        return PCR_FIRMWARE in self.pcrs

    @property
    def measurements(self) -> tuple[PredictedEvent, ...]:
        """The events as `device.json` lists them."""
        return tuple(
            PredictedEvent(
                pcr=event.pcr,
                type=event.type,
                sha256=event.digests["sha256"].hex(),
                data=event.data.hex(),
            )
            for event in self.events
        )

    @property
    def banks(self) -> dict[str, dict[int, bytes]]:
        """PCR values by bank and index."""
        names = self.events[0].digests
        return {name: eventlog.replay(self.events, name) for name in names}


def predict(
    fit: Fit,
    configuration: str,
    *,
    bootargs: bytes = b"",
    version: bytes | None = None,
    before: tuple[Event, ...] = (),
    banks: Sequence[str] = ("sha256",),
) -> Prediction:
    """Predict the measurements of one configuration, for U-Boot v2024.07 and later.

    Args:
        fit: The FIT, strictly read.
        configuration: Name of the configuration node.
        bootargs: U-Boot's `bootargs` variable, empty when unset. Arguments that the device tree
            carries in `/chosen` are part of the device tree and do not go here.
        version: U-Boot's version string (`formats.uboot.version_string`), for PCR 0.
        before: What was measured before U-Boot (`measure.firmware`).
        banks: Hash algorithms; SHA-256 is always among them, and the only one when something was
            measured before, in SHA-256 alone.

    Raises:
        FormatError: The FIT has no such configuration, or what U-Boot would measure cannot
            be told from the file: external, encrypted or overlaid data, or no device tree.
        UsageError: U-Boot has no such bank.
    """
    chosen = fit.configuration(configuration)
    kernel = _payload(fit, chosen, "kernel")
    board = _payload(fit, chosen, "fdt")
    if kernel is None or board is None:
        missing = "kernel" if kernel is None else "fdt"
        raise FormatError(f"{chosen.path} names no {missing}: its measurement cannot be predicted")
    events = eventlog.bootm_events(
        kernel=kernel,
        ramdisk=_payload(fit, chosen, "ramdisk"),
        fdt=board,
        bootargs=bootargs,
        version=version,
        banks=["sha256"] if before else list(dict.fromkeys(["sha256", *banks])),
    )
    if version is not None:
        events = (*before, *events)
    return Prediction(
        configuration=configuration,
        events=events,
        pcrs=eventlog.replay(events),
        rollback_index=_cell(board, ROLLBACK_PROPERTY) or 0,
        firmware_version=_cell(board, FIRMWARE_PROPERTY),
    )


def _cell(board: memoryview, name: str) -> int | None:
    """Return a number in a device tree's `/chosen`."""
    try:
        node = fdt.read(board).find("/chosen")
    except FormatError:
        # U-Boot measures whatever has a header; a tree that cannot be read declares nothing.
        return None
    value = (node and node.value(name)) or b""
    return int.from_bytes(value) if len(value) == _CELL else None


def _payload(fit: Fit, configuration: Configuration, kind: str) -> memoryview | None:
    if kind not in configuration.node.properties:
        return None
    names = configuration.references.get(kind, ())
    listed = configuration.node.properties[kind].value
    texts = ", ".join(text.decode(errors="replace") for text in bytes(listed).split(b"\0")[:-1])
    if len(names) > 1:
        raise FormatError(
            f"{configuration.path}: {kind!r} names {texts}: overlays and several images are not "
            "predicted",
            hint="name the other configurations: --configuration NAME",
        )
    if len(names) != 1 or bytes(listed) != names[0].encode() + b"\0":
        raise FormatError(
            f"{configuration.path}: {kind!r} names {texts or 'nothing'}: expected one image of the "
            "FIT"
        )
    image = fit.image(names[0])
    if image.external or "data" not in image.node.properties:
        raise FormatError(f"{image.path} has no embedded data, and only that can be predicted")
    if image.node.child("cipher"):
        raise FormatError(f"{image.path} is encrypted: U-Boot measures the decrypted data")
    if kind == "fdt" and image.compression not in {"", "none"}:
        raise FormatError(
            f"{image.path} is compressed with {image.compression!r}: U-Boot measures the unpacked "
            "device tree"
        )
    return image.payload
