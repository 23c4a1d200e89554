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
        counter: Security version of the boot loader before U-Boot; None when there is none.
    """

    fit: bytes
    version: bytes | None
    slots: dict[str, str]
    name: str = ""
    before: tuple[Event, ...] = ()
    counter: int | None = None


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
        role = "bios" if built.firmware is None else "firmware"
        return _source(
            _read(built.artefact(path, "fit"), kinds.FIT, _MAX_FIT),
            _boot_loader(u_boot or built.artefact(path, role)),
            {slot.configuration: slot.name for slot in built.slots},
            built.name,
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


@dataclass(frozen=True, slots=True)
class _BootLoader:
    """U-Boot's version string, what a boot ROM measured before, and the counter of the FIP."""

    version: bytes | None = None
    before: tuple[Event, ...] = ()
    counter: int | None = None

    @classmethod
    def of_fip(cls, found: fip.Fip) -> _BootLoader:
        from bootseal.firmware.verify import lowest_counter  # noqa: PLC0415 - slow to load

        images = firmware.images(found)
        return cls(
            uboot.version_string(images["bios"]), firmware.events(images), lowest_counter(found)
        )


def _source(
    data: bytes, boot_loader: _BootLoader | None, slots: dict[str, str], name: str = ""
) -> Source:
    found = boot_loader or _BootLoader()
    return Source(
        fit=data,
        version=found.version,
        slots=slots,
        name=name,
        before=found.before,
        counter=found.counter,
    )


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


def demand_boot_loader(source: Source, prediction: Prediction) -> None:
    """Refuse to approve a release with a boot loader that it is not for.

    A device raises its lowest version of a boot loader to what the release says, once its data is
    open: every boot loader that it is approved with has at least that version.

    Raises:
        UsageError: The release is for a boot ROM, and no FIP is known, or an older one.
    """
    least = prediction.firmware_version
    if least is None:
        return
    where = prediction.configuration
    if source.counter is None:
        raise UsageError(
            f"{where} is for a device with a boot ROM: its policy covers the boot loader too",
            hint="give the signed FIP: --u-boot FIP",
        )
    if source.counter < least:
        raise UsageError(
            f"{where} is for boot loaders of version {least} or higher: this one has "
            f"{source.counter}, and would no longer start once the release is found good",
            hint=f"give a newer FIP, or build the release with --firmware-version {source.counter}",
        )


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


def _boot_loader(path: Path) -> _BootLoader:
    """Return what a binary of U-Boot, or a FIP with it, says."""
    data = _read(path, kinds.U_BOOT_BINARY, fip.MAX_SIZE)
    if not data.startswith(fip.MAGIC):
        return _BootLoader(uboot.version_string(data))
    return _BootLoader.of_fip(fip.parse(data))


def _boot_loader_of_disk(path: Path) -> _BootLoader | None:
    """Return the same of the FIP in both banks of a disk; nothing for a disk without banks.

    Raises:
        FormatError: A bank does not begin with a FIP.
        UsageError: They hold different images.
    """
    held: list[fip.Fip] = []
    images: list[dict[str, bytes]] = []
    with image.opened(path) as disk:
        found = partitions.primary(disk.read, disk.size)
        for name in (name for name in bank_of.NAMES if name in found):
            bank = found[name]
            if disk.nonzero(bank.offset, bank.offset + bank.size) is None:
                continue
            try:
                data = bank_of.content(disk, bank.offset, bank.size)
                held.append(fip.parse(data))
                images.append(firmware.images(held[-1]))
            except FormatError as error:
                raise FormatError(
                    f"{path}: {name} does not contain a FIP: {error.message}"
                ) from error
    if not held:
        return None
    if any(each != images[0] for each in images):
        raise UsageError(
            f"{path} holds different boot loaders in {' and '.join(bank_of.NAMES)}",
            hint="predict each of them: --u-boot FIP",
        )
    return _BootLoader.of_fip(held[0])


def _read(path: Path, wanted: kinds.Wanted, limit: int) -> bytes:
    try:
        return checked(files.read_bounded(path, limit=limit), wanted, str(path))
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: expected {wanted.phrase}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory: expected {wanted.phrase}") from None
