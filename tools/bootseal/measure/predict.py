# SPDX-License-Identifier: MIT
"""Predict the PCR values a FIT configuration boots into, without a TPM and without U-Boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.errors import FormatError
from bootseal.formats import eventlog, fit
from bootseal.formats.eventlog import PCR_CONFIGURATION, PCR_INITRAMFS, PCR_KERNEL, Event

if TYPE_CHECKING:
    from bootseal.formats.fdt import Buffer

MEANINGS = {
    PCR_CONFIGURATION: "device tree and boot arguments",
    PCR_KERNEL: "kernel",
    PCR_INITRAMFS: "initramfs",
}
"""What each predicted PCR stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What `bootm ADDR#configuration` will measure.

    Attributes:
        configuration: Name of the configuration node.
        events: The measurements in U-Boot's order.
        pcrs: SHA-256 PCR values after them, by index: 1, 8 and 9.
    """

    configuration: str
    events: tuple[Event, ...]
    pcrs: dict[int, bytes]


def predict(data: Buffer, configuration: str, *, bootargs: bytes = b"") -> Prediction:
    """Predict PCR 1, 8 and 9 of one configuration, for U-Boot v2024.07 and later.

    Args:
        data: The FIT.
        configuration: Name of the configuration node.
        bootargs: U-Boot's `bootargs` variable, empty when unset. Arguments that the device tree
            carries in `/chosen` are part of the device tree and do not go here.

    Raises:
        FormatError: It is no FIT, has no such configuration, or what U-Boot would measure cannot
            be told from the file: external, encrypted or overlaid data, or no device tree.
    """
    model = fit.parse(data)
    chosen = model.configuration(configuration)
    kernel = _payload(model, chosen, "kernel")
    fdt = _payload(model, chosen, "fdt")
    if kernel is None or fdt is None:
        missing = "kernel" if kernel is None else "fdt"
        raise FormatError(f"{chosen.path} names no {missing}: its measurement cannot be predicted")
    events = eventlog.bootm_events(
        kernel=kernel, ramdisk=_payload(model, chosen, "ramdisk"), fdt=fdt, bootargs=bootargs
    )
    return Prediction(configuration=configuration, events=events, pcrs=eventlog.replay(events))


def _payload(model: fit.Fit, configuration: fit.Configuration, kind: str) -> memoryview | None:
    if kind not in configuration.node.properties:
        return None
    names = configuration.references.get(kind, ())
    listed = configuration.node.properties[kind].value
    if len(names) != 1 or bytes(listed) != names[0].encode() + b"\0":
        raise FormatError(
            f"{configuration.path}: {kind!r} is {bytes(listed)!r}: expected the name of one image"
        )
    image = model.image(names[0])
    if image.external or "data" not in image.node.properties:
        raise FormatError(f"{image.path} has no embedded data, which alone is predicted")
    if image.node.child("cipher"):
        raise FormatError(f"{image.path} is encrypted: U-Boot measures what it decrypts to")
    if kind == "fdt" and image.compression not in {"", "none"}:
        raise FormatError(
            f"{image.path} is compressed with {image.compression!r}: U-Boot measures the "
            "device tree it unpacks"
        )
    return image.payload
