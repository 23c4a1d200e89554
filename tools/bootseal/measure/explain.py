# SPDX-License-Identifier: MIT
"""Explain an event log, entry for entry, against what was expected."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final

from bootseal.formats.tpm import event_types, eventlog
from bootseal.formats.tpm.eventlog import Event, EventType

_log: Final = logging.getLogger(__name__)

# What our boot ROM and BL2 measure, by the data of the event.
_BOOT_LOADERS: Final = {
    b"BL_2\0": "BL2, the first boot loader that the boot ROM starts",
    b"SECURE_RT_EL3\0": "BL31, the runtime firmware",
    b"BL_33\0": "U-Boot with its control device tree",
}

_ERROR_SEPARATOR: Final = b"\x01\x00\x00\x00"
# What U-Boot measures and logs in the same bytes.
_SELF_DESCRIBING: Final = frozenset(
    {EventType.S_CRTM_VERSION, EventType.PLATFORM_CONFIG_FLAGS, EventType.SEPARATOR}
)
_SHOWN: Final = 200


class Match(StrEnum):
    """What an entry is, compared with what was expected."""

    MATCHING = "matching"
    UNEXPECTED = "unexpected"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedEvent:
    """One line of the comparison.

    Attributes:
        match: Whether it is in both, only in the log, or only expected.
        number: Position in the log, counted from 0; -1 for what is missing there.
        event: The event.
        meaning: What it says, in words; text out of the log is in it unescaped.
    """

    match: Match
    number: int
    event: Event
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A log, and the approved boot it is nearest to.

    Attributes:
        name: Release and slot; empty when there was nothing to compare with.
        entries: The lines; all of them matching, then, when there was nothing to compare with.
    """

    name: str
    entries: tuple[ComparedEvent, ...]

    def count(self, match: Match) -> int:
        """Return how many lines there are of a kind."""
        return sum(entry.match is match for entry in self.entries)

    @property
    def differences(self) -> int:
        """How many lines do not match."""
        return len(self.entries) - self.count(Match.MATCHING)


def closest(found: Sequence[Event], boots: Mapping[str, Sequence[Event]]) -> Comparison:
    """Compare a log with the approved boot that differs least.

    Args:
        found: The log.
        boots: Expected events by name; the first of equals is chosen.
    """
    if not boots:
        return Comparison(name="", entries=compare(found, found))
    all_ = [Comparison(name=name, entries=compare(found, boots[name])) for name in boots]
    best = min(all_, key=lambda comparison: comparison.differences)
    _log.info("of %d approved boots the closest is %s", len(boots), best.name)
    return best


def compare(found: Sequence[Event], expected: Sequence[Event]) -> tuple[ComparedEvent, ...]:
    """Line a log up with what was expected.

    An entry matches when PCR, type, event data and the digests of all banks that both have are
    equal, SHA-256 among them; the order counts.
    """
    common = _common_banks(found, expected)
    here, there = ([_key(e, common) for e in events] for events in (found, expected))
    lines: list[ComparedEvent] = []
    matcher = SequenceMatcher(None, here, there, autojunk=False)
    for kind, i, j, m, n in matcher.get_opcodes():
        equal = kind == "equal"
        match = Match.MATCHING if equal else Match.UNEXPECTED
        lines += (
            ComparedEvent(match=match, number=at, event=found[at], meaning=explain(found[at]))
            for at in range(i, j)
        )
        if not equal:
            lines += (
                ComparedEvent(match=Match.MISSING, number=-1, event=e, meaning=explain(e))
                for e in expected[m:n]
            )
    return tuple(lines)


def explain(event: Event) -> str:
    """Say in words what was measured.

    >>> explain(Event(pcr=8, type=0xC, digests={}, data=b"linux" + bytes(1)))
    'the kernel, as it is stored in the FIT'
    """
    if (event.pcr, event.type) == (eventlog.PCR_FIRMWARE, EventType.POST_CODE):
        text = _BOOT_LOADERS.get(event.data) or _words(event)
    else:
        text = _words(event)
    if event.type in _SELF_DESCRIBING and not _fits(event):
        text += "; its digest is not that of its data"
    return text


def _words(event: Event) -> str:  # noqa: PLR0911 - one answer for each kind of event
    match event.pcr, event.type:
        case (eventlog.PCR_FIRMWARE, EventType.S_CRTM_VERSION):
            return f"U-Boot's version: {_text(event.data)}"
        case (eventlog.PCR_KERNEL, EventType.COMPACT_HASH):
            return "the kernel, as it is stored in the FIT"
        case (eventlog.PCR_INITRAMFS, EventType.COMPACT_HASH):
            without = hashlib.sha256(b"initrd\0").digest() == event.digests.get("sha256")
            return "no initramfs" if without else "the initramfs, as it is stored in the FIT"
        case (eventlog.PCR_CONFIGURATION, EventType.TABLE_OF_DEVICES):
            return "the FIT's device tree: kernel command line, root hash, rollback index"
        case (eventlog.PCR_CONFIGURATION, EventType.PLATFORM_CONFIG_FLAGS):
            text = _text(event.data)
            return f"U-Boot's bootargs variable: {text}" if text else "U-Boot's bootargs: unset"
        case (pcr, EventType.SEPARATOR) if event.data == eventlog.SEPARATOR:
            return f"U-Boot's separator in PCR {pcr}: all its measurements succeeded"
        case (pcr, EventType.SEPARATOR) if event.data == _ERROR_SEPARATOR:
            return f"U-Boot's separator in PCR {pcr}: a measurement failed"
        case (_, EventType.NO_ACTION):
            return _note(event)
        case (pcr, kind):
            name = event_types.name(kind)
            return f"{name} in PCR {pcr}, which U-Boot's bootm does not log: {_text(event.data)}"


def _note(event: Event) -> str:
    locality = eventlog.locality_of(event)
    if locality is None:
        return "a note: nothing was measured"
    return f"the TPM was started from locality {locality}: PCR 0 starts at {locality}"


def _text(data: bytes) -> str:
    text = data.rstrip(b"\0").decode(errors="replace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(data)} bytes)"


def _fits(event: Event) -> bool:
    return all(
        hashlib.new(bank, event.data, usedforsecurity=bank != "sha1").digest() == digest
        for bank, digest in event.digests.items()
    )


def _common_banks(found: Sequence[Event], expected: Sequence[Event]) -> tuple[str, ...]:
    """Return the banks to compare; SHA-256 always, so that a log without it matches nothing."""
    if not found or not expected:
        return ("sha256",)
    both = found[0].digests.keys() & expected[0].digests.keys()
    return tuple(sorted(both | {"sha256"}))


def _key(event: Event, banks: Sequence[str]) -> tuple[object, ...]:
    # What a side lacks equals nothing: the other side has it, or the entry has no SHA-256.
    digests = tuple(event.digests.get(bank, b"") for bank in banks)
    return (event.pcr, event.type, event.data, digests)
