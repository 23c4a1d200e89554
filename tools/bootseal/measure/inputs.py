# SPDX-License-Identifier: MIT
"""What a prediction is made from: a built device's directory, a disk, or a FIT.

A disk holds no U-Boot: its binary is named too, or PCR 0 is not predicted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import device, files
from bootseal.disk import image, partitions
from bootseal.errors import FormatError, UsageError
from bootseal.formats import boot_partition
from bootseal.formats.fit import model as fit
from bootseal.formats.kinds import kind as kinds
from bootseal.formats.kinds.recognise import check, checked
from bootseal.formats.uboot import binary as uboot
from bootseal.measure.predict import predict
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.measure.predict import Prediction

_log: Final = logging.getLogger(__name__)

BANKS: Final = ("sha256", "sha384", "sha512")
"""What is predicted unless asked otherwise: SHA-1 is in some TPMs and decides nothing here."""

_MAX_FIT: Final = 256 * MIB
_SLOTS: Final = {"conf-a": "a", "conf-b": "b"}


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
    """Read what is at `path`.

    Args:
        path: A build directory with its `device.json`, a raw disk with a GPT, or a FIT.
        u_boot: U-Boot's binary; a build directory has its own.

    Raises:
        UsageError: There is nothing to read, or the slots of a disk hold different FITs.
        FormatError: It is not what it should be.
    """
    if path.is_dir():
        _log.info("%s: a build directory", path)
        built = device.load(path)
        return Source(
            fit=_read(built.artefact(path, "fit"), kinds.FIT, _MAX_FIT),
            version=_version(u_boot or built.artefact(path, "bios")),
            slots={slot.configuration: slot.name for slot in built.slots},
            name=built.name,
        )
    version = _version(u_boot) if u_boot else None
    try:
        with files.mapped(path) as data:
            found = check(data, kinds.MEASURED, str(path))
    except FileNotFoundError:
        raise UsageError(f"there is no FIT or disk at {path}") from None
    _log.info("%s: %s", path, found)
    if found is kinds.Kind.GPT:
        return Source(fit=_fit_of_disk(path), version=version, slots=dict(_SLOTS))
    return Source(fit=_read(path, kinds.FIT, _MAX_FIT), version=version, slots={})


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
    model = fit.parse(source.fit)
    names = configurations or list(source.slots) or [found.name for found in model.configurations]
    for name in names:
        _log.info("configuration %s: slot %s", name, source.slots.get(name, "not known"))
    return [
        (
            source.slots.get(name, ""),
            predict(model, name, bootargs=bootargs, version=source.version, banks=banks),
        )
        for name in names
    ]


def predictable(
    source: Source, *, banks: Sequence[str] = BANKS, bootargs: bytes = b""
) -> tuple[list[tuple[str, Prediction]], dict[str, str]]:
    """Predict the boots of a source that can be predicted.

    Returns:
        What `predictions` returns, and why the other configurations are not among it, by name.

    Raises:
        FormatError: None can be, or one of a slot cannot.
        UsageError: U-Boot has no such bank.
    """
    if source.slots:
        return predictions(source, banks=banks, bootargs=bootargs), {}
    found: list[tuple[str, Prediction]] = []
    left_out: dict[str, FormatError] = {}
    for each in fit.parse(source.fit).configurations:
        try:
            found += predictions(source, [each.name], banks=banks, bootargs=bootargs)
        except FormatError as error:
            left_out[each.name] = error
    if not found:
        raise next(iter(left_out.values()), FormatError("the FIT has no configuration to boot"))
    return found, {name: error.message for name, error in left_out.items()}


def _fit_of_disk(path: Path) -> bytes:
    """Return the FIT at the start of both boot partitions.

    Raises:
        FormatError: There is no such partition, or no FIT in it.
        UsageError: They hold different FITs.
    """
    fits = []
    with image.opened(path) as disk:
        found = partitions.primary(disk.read, disk.size)
        for slot in _SLOTS.values():
            partition = found.get(f"boot-{slot}")
            if partition is None:
                raise FormatError(f"{path} has no partition boot-{slot}: it has {', '.join(found)}")
            content = disk.view(partition.offset, partition.size)
            try:
                fits.append(bytes(boot_partition.find_fit(content)))
            except FormatError as error:
                raise FormatError(
                    f"{path}: the partition boot-{slot} does not begin with a FIT: {error.message}"
                ) from error
    if fits[0] != fits[1]:
        raise UsageError(
            f"{path} holds different FITs in boot-a and boot-b, so they are two releases",
            hint="predict each from its own FIT",
        )
    return fits[0]


def _version(binary: Path) -> bytes:
    return uboot.version_string(_read(binary, kinds.U_BOOT_BINARY, files.BOOT_LOADER))


def _read(path: Path, wanted: kinds.Wanted, limit: int) -> bytes:
    try:
        return checked(files.read_bounded(path, limit=limit), wanted, str(path))
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: expected {wanted.phrase}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory: expected {wanted.phrase}") from None
