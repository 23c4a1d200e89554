# SPDX-License-Identifier: MIT
"""What a prediction is made from: a built device's directory, a disk, or a FIT.

A disk holds U-Boot where it has boot loaders for a boot ROM. Of others, and of a FIT, U-Boot's
binary is named too, or PCR 0 is not predicted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import device, files
from bootseal.disk import image, partitions
from bootseal.errors import FormatError, UsageError
from bootseal.firmware import banks as bank_of
from bootseal.formats import boot_partition, fip
from bootseal.formats.fit import model as fit
from bootseal.formats.kinds import kind as kinds
from bootseal.formats.kinds.recognise import check, checked
from bootseal.formats.uboot import binary as uboot
from bootseal.measure import firmware
from bootseal.measure.predict import predict
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.formats.tpm.eventlog import Event
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
        before: What was measured before U-Boot.
        slots: The slot of each configuration that belongs to one, in the order they are tried.
        name: Name of the device, empty when it has none.
    """

    fit: bytes
    version: bytes | None
    slots: dict[str, str]
    name: str = ""
    before: tuple[Event, ...] = ()


def load(path: Path, *, u_boot: Path | None = None) -> Source:
    """Read what is at `path`.

    Args:
        path: A build directory with its `device.json`, a raw disk with a GPT, or a FIT.
        u_boot: U-Boot's binary, or the FIP that it is in; a build directory has its own.

    Raises:
        UsageError: There is nothing to read, the slots of a disk hold different FITs, or its banks
            different boot loaders.
        FormatError: It is not what it should be.
    """
    if path.is_dir():
        _log.info("%s: a build directory", path)
        built = device.load(path)
        version, before = _boot_loader(u_boot or built.artefact(path, "bios"))
        return Source(
            fit=_read(built.artefact(path, "fit"), kinds.FIT, _MAX_FIT),
            version=version,
            slots={slot.configuration: slot.name for slot in built.slots},
            name=built.name,
            before=before if u_boot else firmware.of_device(built, path),
        )
    known = _boot_loader(u_boot) if u_boot else None
    try:
        with files.mapped(path) as data:
            found = check(data, kinds.MEASURED, str(path))
    except FileNotFoundError:
        raise UsageError(f"there is no FIT or disk at {path}") from None
    _log.info("%s: %s", path, found)
    if found is kinds.Kind.GPT:
        held = known or _boot_loader_of_disk(path)
        return _source(_fit_of_disk(path), held, dict(_SLOTS))
    return _source(_read(path, kinds.FIT, _MAX_FIT), known, {})


def _source(
    data: bytes, boot_loader: tuple[bytes, tuple[Event, ...]] | None, slots: dict[str, str]
) -> Source:
    version, before = boot_loader or (None, ())
    return Source(fit=data, version=version, slots=slots, before=before)


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
            predict(
                model,
                name,
                bootargs=bootargs,
                version=source.version,
                before=source.before,
                banks=banks,
            ),
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


def _boot_loader(path: Path) -> tuple[bytes, tuple[Event, ...]]:
    """Return U-Boot's version string, and what a FIP with it has measured before."""
    data = _read(path, kinds.U_BOOT_BINARY, fip.MAX_SIZE)
    if not data.startswith(fip.MAGIC):
        return uboot.version_string(data), ()
    images = firmware.images(fip.parse(data))
    return uboot.version_string(images["bios"]), firmware.events(images)


def _boot_loader_of_disk(path: Path) -> tuple[bytes, tuple[Event, ...]] | None:
    """Return the same of the FIP in both banks of a disk; nothing for a disk without banks.

    Raises:
        FormatError: A bank does not begin with a FIP.
        UsageError: They hold different images.
    """
    held: list[dict[str, bytes]] = []
    with image.opened(path) as disk:
        found = partitions.primary(disk.read, disk.size)
        for name in (name for name in bank_of.NAMES if name in found):
            bank = found[name]
            if disk.nonzero(bank.offset, bank.offset + bank.size) is None:
                continue
            try:
                data = bank_of.content(disk, bank.offset, bank.size)
                held.append(firmware.images(fip.parse(data)))
            except FormatError as error:
                raise FormatError(f"{path}: {name} does not hold a FIP: {error.message}") from error
    if not held:
        return None
    if any(each != held[0] for each in held):
        raise UsageError(
            f"{path} holds different boot loaders in {' and '.join(bank_of.NAMES)}",
            hint="predict each of them: --u-boot FIP",
        )
    return uboot.version_string(held[0]["bios"]), firmware.events(held[0])


def _read(path: Path, wanted: kinds.Wanted, limit: int) -> bytes:
    try:
        return checked(files.read_bounded(path, limit=limit), wanted, str(path))
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: expected {wanted.phrase}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory: expected {wanted.phrase}") from None
