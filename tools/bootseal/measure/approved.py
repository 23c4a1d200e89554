# SPDX-License-Identifier: MIT
"""The approved list: what each release a device may run measures (schema `bootseal.approved/1`).

The list is made at the release station from the artefacts alone, and read by the verifiers of
event logs and quotes. Anyone who can change it decides what is approved: review it like code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bootseal import documents
from bootseal.errors import FormatError, UsageError
from bootseal.formats.tpm import event_types, eventlog
from bootseal.formats.tpm import policy as tpm
from bootseal.formats.tpm.eventlog import PCR_INITRAMFS, Event
from bootseal.measure.predict import CAP, Prediction

SCHEMA: Final = "bootseal.approved/1"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedEvent:
    """An event as it is in the list.

    Attributes:
        pcr: Index of the PCR.
        type: Name of the event type, for example `EV_COMPACT_HASH`.
        digests: Lower-case hex by bank.
        data: Event data, lower-case hex.
    """

    pcr: int
    type: str
    digests: dict[str, str]
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One way to boot a release.

    Attributes:
        slot: Name of the slot, empty when the configuration belongs to none.
        configuration: FIT configuration.
        pcrs: PCR values when Linux starts: by bank, then by index, lower-case hex.
        events: The event log, entry for entry, without its header.
    """

    slot: str
    configuration: str
    pcrs: dict[str, dict[str, str]]
    events: tuple[ApprovedEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """What the running system adds to a PCR: in no event log, and in every quote.

    Attributes:
        pcr: Index of the PCR.
        digests: What it is extended with, lower-case hex by bank.
        why: In words.
    """

    pcr: int
    digests: dict[str, str]
    why: str


CAPPED: Final = Extension(
    pcr=PCR_INITRAMFS,
    digests={"sha256": CAP.hex()},
    why="the system closed the way to the data key for the rest of this boot",
)
"""What every device built from this layer does once its data partition is open, or refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One approved release.

    Attributes:
        name: Its name, unique in the list.
        rollback_index: Its security version, 0 when it declares none.
        fit: SHA-256 of the FIT, lower-case hex.
        firmware: U-Boot's version string.
        boots: The ways to boot it: one for each slot.
        runtime: What the running system extends PCRs with later, in this order.
    """

    name: str
    rollback_index: int
    fit: str
    firmware: str
    boots: tuple[Boot, ...]
    runtime: tuple[Extension, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The whole list."""

    schema: str = SCHEMA
    releases: tuple[Release, ...] = ()

    def add(self, release: Release) -> Approved:
        """Return the list with one more release; the same one again changes nothing.

        Raises:
            UsageError: Another release has this name.
        """
        for known in self.releases:
            if known == release:
                return self
            if known.name == release.name:
                raise UsageError(
                    f"the approved list has another release called {release.name!r}: "
                    f"its FIT is {known.fit}, this one's is {release.fit}",
                    hint=f"bootseal measure revoke {release.name} --list LIST",
                )
        return dataclasses.replace(self, releases=(*self.releases, release))

    def remove(self, names: Sequence[str]) -> Approved:
        """Return the list without the named releases.

        Raises:
            UsageError: It has no such release.
        """
        known = {release.name for release in self.releases}
        if missing := [name for name in names if name not in known]:
            raise UsageError(
                f"the approved list has no release {missing[0]!r}: it has "
                f"{', '.join(sorted(known)) or 'none'}"
            )
        return dataclasses.replace(
            self, releases=tuple(r for r in self.releases if r.name not in names)
        )


def release(
    name: str, predictions: Iterable[tuple[str, Prediction]], fit: bytes, firmware: bytes
) -> Release:
    """Describe a release.

    Args:
        name: What to call it.
        predictions: Slot and prediction, in the order U-Boot tries the slots.
        fit: The FIT.
        firmware: U-Boot's version string.

    Raises:
        UsageError: The name is not usable, a prediction lacks PCR 0, or the slots disagree about
            the rollback index.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot name a release: expected up to 64 letters, digits and . _ + -"
        )
    found = list(predictions)
    if not found or not all(prediction.complete for _, prediction in found):
        raise UsageError(
            "PCR 0 is not predicted, because U-Boot's version string is not known",
            hint="give U-Boot's binary with --u-boot u-boot.bin",
        )
    indices = {prediction.rollback_index for _, prediction in found}
    if len(indices) > 1:
        raise UsageError(f"the slots have different rollback indices: {sorted(indices)}")
    return Release(
        name=name,
        rollback_index=indices.pop(),
        fit=hashlib.sha256(fit).hexdigest(),
        firmware=firmware.decode("ascii", errors="backslashreplace"),
        boots=tuple(_boot(slot, prediction) for slot, prediction in found),
        runtime=(CAPPED,),
    )


def parse(data: bytes) -> Approved:
    """Read a list; what is unknown, missing or contradicts itself is an error.

    Raises:
        FormatError: It is not a valid `bootseal.approved/1` document.
    """
    approved = documents.read(Approved, data, "the approved list")
    names = [release.name for release in approved.releases]
    if len(set(names)) != len(names):
        raise FormatError("the approved list names a release twice")
    for found in approved.releases:
        _check(found)
    return approved


def events(boot: Boot) -> tuple[Event, ...]:
    """Return the event log a boot is expected to leave."""
    return tuple(to_event(one) for one in boot.events)


def policy_digests(approved: Approved, pcrs: Sequence[int]) -> frozenset[bytes]:
    """Return the TPM2_PolicyPCR digest over these PCRs of every boot on the list.

    Raises:
        UsageError: One of the PCRs is not on the list.
    """
    found = set()
    for one in approved.releases:
        for boot in one.boots:
            values = boot.pcrs["sha256"]
            if missing := [pcr for pcr in pcrs if str(pcr) not in values]:
                raise UsageError(f"release {one.name} on the approved list has no PCR {missing[0]}")
            found.add(tpm.policy_pcr({pcr: bytes.fromhex(values[str(pcr)]) for pcr in pcrs}))
    return frozenset(found)


def boots(approved: Approved, slot: str = "") -> dict[str, tuple[Event, ...]]:
    """Return the expected event log of every boot on the list, or of one slot's, by its name."""
    return {
        f"{one.name}, slot {boot.slot}" if boot.slot else f"{one.name}, {boot.configuration}": (
            events(boot)
        )
        for one in approved.releases
        for boot in one.boots
        if slot in {"", boot.slot}
    }


def to_event(measurement: ApprovedEvent) -> Event:
    """Return an entry of the list as an event."""
    return Event(
        pcr=measurement.pcr,
        type=event_types.number(measurement.type),
        digests={bank: bytes.fromhex(text) for bank, text in measurement.digests.items()},
        data=bytes.fromhex(measurement.data),
    )


def from_event(event: Event) -> ApprovedEvent:
    """Return an event as an entry of the list."""
    return ApprovedEvent(
        pcr=event.pcr,
        type=event_types.name(event.type),
        digests={bank: digest.hex() for bank, digest in event.digests.items()},
        data=event.data.hex(),
    )


def _boot(slot: str, prediction: Prediction) -> Boot:
    return Boot(
        slot=slot,
        configuration=prediction.configuration,
        pcrs={bank: _hex(values) for bank, values in prediction.banks.items()},
        events=tuple(from_event(event) for event in prediction.events),
    )


def _hex(values: Mapping[int, bytes]) -> dict[str, str]:
    return {str(pcr): value.hex() for pcr, value in sorted(values.items())}


def _check(found: Release) -> None:
    """Refuse a release that no release station writes."""
    where = f"approved list, release {found.name!r:.80}"
    if _NAME.fullmatch(found.name) is None:
        raise FormatError(f"{where}: the name is not up to 64 letters, digits and . _ + -")
    if not found.boots or found.rollback_index < 0:
        raise FormatError(f"{where}: it has no boots, or a negative rollback index")
    _check_digests({"sha256": found.fit}, where)
    for extension in found.runtime:
        _check_place(extension.pcr, extension.digests, where)
    for number, boot in enumerate(found.boots):
        spot = f"{where}, boot {number}"
        for event in boot.events:
            _check_place(event.pcr, event.digests, spot)
            if event_types.number(event.type) < 0 or _HEX.fullmatch(event.data) is None:
                raise FormatError(f"{spot}: an event's type or data cannot be read")
        if not boot.events or "sha256" not in boot.pcrs:
            raise FormatError(f"{spot}: it has no events, or no PCR values of the sha256 bank")
        expected = events(boot)
        for bank, values in boot.pcrs.items():
            if bank not in eventlog.BANKS or values != _hex(eventlog.replay(expected, bank)):
                raise FormatError(
                    f"{spot}: its {bank!r:.20} PCR values do not follow from its events"
                )


def _check_place(pcr: int, digests: Mapping[str, str], where: str) -> None:
    if not 0 <= pcr < tpm.PCR_COUNT:
        raise FormatError(f"{where}: PCR {pcr} is not one of 0 to {tpm.PCR_COUNT - 1}")
    if "sha256" not in digests:
        raise FormatError(f"{where}: an entry has no sha256 digest")
    _check_digests(digests, where)


def _check_digests(digests: Mapping[str, str], where: str) -> None:
    for bank, text in digests.items():
        known = bank in eventlog.BANKS
        if not known or len(text) != 2 * hashlib.new(bank).digest_size or not _HEX.fullmatch(text):
            raise FormatError(f"{where}: {text!r:.80} is not a digest of the bank {bank!r:.20}")
