# SPDX-License-Identifier: MIT
"""What goes with a release by name, besides its artefacts: is it about this release?

The approved list must approve what the slots measure, and the result of the boot matrix must be of
such a device, of the roots in its slots and without a failure. Of the other bytes of the disk that
was booted, such as those of boot loader and FIT, a result says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import FormatError
from bootseal.files import read_bounded
from bootseal.findings.catalogue import finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from bootseal.boot.scenario.model import MatrixResult
    from bootseal.device import Device, Slot
    from bootseal.findings.model import Finding
    from bootseal.measure.approved import Approved, Release

APPROVED: Final = "approved.json"
"""Path of the approved list in a release."""
MATRIX: Final = "reports/matrix.json"
"""Path of the boot matrix's result."""
_SHOWN: Final = 8


def check(directory: Path, device: Device, paths: Iterable[str]) -> Iterator[Finding]:
    """Yield what is wrong with the files that go with a release.

    Args:
        directory: The release.
        device: Its device.
        paths: Its files.

    Raises:
        OSError: One cannot be read.
    """
    there = set(paths)
    for path, name, look in (
        (APPROVED, "evidence.approved", _approved),
        (MATRIX, "evidence.matrix", _matrix),
    ):
        if path in there:
            try:
                yield from look(directory / path, device)
            except FormatError as error:
                yield finding(name, path, error.message)


def of_list(found: Approved, device: Device) -> Iterator[Finding]:
    """Yield why an approved list does not approve a device."""
    fit = device.artefacts.get("fit")
    releases = [each for each in found.releases if fit and each.fit == fit.sha256]
    if not releases:
        message = f"none of its {len(found.releases)} releases has the FIT of this device"
        yield finding("evidence.approved", APPROVED, message)
        return
    for slot in device.slots:
        if not any(approves(each, slot) for each in releases):
            message = f"it approves other PCR values than slot {slot.name} has in device.json"
            yield finding("evidence.approved", APPROVED, message)


def approves(release: Release, slot: Slot) -> bool:
    """Tell whether a release on the approved list has the PCR values of a slot.

    A slot without values is approved by none: there is nothing that could be compared.
    """
    boots = [boot for boot in release.boots if boot.configuration == slot.configuration]
    wanted = slot.pcrs.items()
    return bool(wanted) and any(wanted <= boot.pcrs["sha256"].items() for boot in boots)


def of_matrix(found: MatrixResult, device: Device) -> Iterator[Finding]:
    """Yield why the result of a boot matrix does not speak for a device."""
    from bootseal.boot.scenario.model import Outcome  # noqa: PLC0415 - only with such a file

    if found.device != device.name:
        message = f"it is of the device {found.device!r:.80}: expected {device.name!r}"
        yield finding("evidence.matrix", MATRIX, message)
    for slot in device.slots:
        if (root := found.roots.get(slot.name, "")) != slot.root_hash:
            message = f"it was run on the root {root!r:.80} in slot {slot.name}: "
            yield finding("evidence.matrix", MATRIX, f"{message}expected {slot.root_hash}")
    for outcome, name in (
        (Outcome.FAILED, "evidence.matrix"),
        (Outcome.INCONCLUSIVE, "evidence.matrix-unproven"),
    ):
        ids = [each.id for each in found.results if each.verdict is outcome]
        if ids:
            yield finding(name, MATRIX, f"{outcome}: {_listed(ids)}")
    if not found.results:
        yield finding("evidence.matrix-unproven", MATRIX, "it has no scenarios")
    elif missing := left_out(found, device):
        message = f"of the catalogue's scenarios for such a device, not run: {_listed(missing)}"
        yield finding("evidence.matrix-unproven", MATRIX, message)


def left_out(found: MatrixResult, device: Device) -> tuple[str, ...]:
    """Return the scenarios of the catalogue for such a device that a matrix was run without."""
    from bootseal.boot.catalogue.scenarios import SCENARIOS  # noqa: PLC0415 - slow to load
    from bootseal.boot.scenario import runner  # noqa: PLC0415 - likewise

    run = {each.id for each in found.results}
    return tuple(each.id for each in runner.fitting(SCENARIOS, device, []) if each.id not in run)


def _approved(path: Path, device: Device) -> Iterator[Finding]:
    from bootseal.measure import approved  # noqa: PLC0415 - only with such a file

    yield from of_list(approved.parse(read_bounded(path, limit=documents.MAX_SIZE)), device)


def _matrix(path: Path, device: Device) -> Iterator[Finding]:
    from bootseal.boot.scenario import saved  # noqa: PLC0415 - only with such a file

    data = read_bounded(path, limit=documents.MAX_SIZE)
    yield from of_matrix(saved.parse(data, MATRIX), device)


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{', '.join(ids[:_SHOWN])}{more}"
