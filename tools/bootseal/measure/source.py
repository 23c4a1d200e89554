# SPDX-License-Identifier: MIT
"""What a prediction is made from: a built device's directory, or a FIT and U-Boot's binary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import device
from bootseal.errors import UsageError
from bootseal.formats import fit, uboot
from bootseal.measure.predict import predict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.measure.predict import Prediction

BANKS: Final = ("sha256", "sha384", "sha512")
"""What is predicted unless asked otherwise: SHA-1 is in some TPMs and decides nothing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The artefacts that decide what is measured.

    Attributes:
        fit: The FIT.
        version: U-Boot's version string, None when U-Boot's binary is not at hand.
        slots: The slot of each configuration that belongs to one, in the order they are tried.
        name: Name of the device, empty when it has none.
    """

    fit: bytes
    version: bytes | None
    slots: dict[str, str]
    name: str = ""


def load(path: Path, *, u_boot: Path | None = None) -> Source:
    """Read what lies at `path`.

    Args:
        path: A build directory with its `device.json`, or a FIT.
        u_boot: U-Boot's binary; a build directory has its own.

    Raises:
        UsageError: There is nothing to read.
        FormatError: It is not what it should be.
    """
    if path.is_dir():
        built = device.load(path)
        binary = u_boot or built.artefact(path, "bios")
        return Source(
            fit=_read(built.artefact(path, "fit"), "FIT"),
            version=uboot.version_string(_read(binary, "U-Boot")),
            slots={slot.configuration: slot.name for slot in built.slots},
            name=built.name,
        )
    version = uboot.version_string(_read(u_boot, "U-Boot")) if u_boot else None
    return Source(fit=_read(path, "FIT"), version=version, slots={})


def predictions(
    source: Source,
    configurations: Sequence[str] | None = None,
    *,
    banks: Sequence[str] = BANKS,
    bootargs: bytes = b"",
) -> list[tuple[str, Prediction]]:
    """Predict every boot of a source, or of the named configurations.

    Returns:
        The slot, empty when it is not known, and the prediction.

    Raises:
        FormatError: What U-Boot would measure cannot be told from the files.
        UsageError: U-Boot has no such bank.
    """
    names = (
        configurations
        or list(source.slots)
        or [found.name for found in fit.parse(source.fit).configurations]
    )
    return [
        (
            source.slots.get(name, ""),
            predict(source.fit, name, bootargs=bootargs, version=source.version, banks=banks),
        )
        for name in names
    ]


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no {what} at {path}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory: expected a {what}") from None
