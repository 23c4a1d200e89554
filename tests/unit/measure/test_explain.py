# SPDX-License-Identifier: MIT
"""An event log in words, and against what was expected."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import pytest

from bootseal.formats.tpm import event_types, eventlog
from bootseal.formats.tpm.eventlog import Event, EventType
from bootseal.measure.explain import Match, closest, compare, explain

if TYPE_CHECKING:
    from collections.abc import Callable

FDT = bytes.fromhex("d00dfeed 00000030") + bytes(40)
Events = tuple[Event, ...]


def log(kernel: bytes = b"kernel", *, banks: tuple[str, ...] = ("sha256",)) -> Events:
    return eventlog.bootm_events(
        kernel=kernel, ramdisk=b"r", fdt=FDT, version=b"U-Boot", banks=banks
    )


def differences(found: Events, expected: Events) -> list[tuple[str, int, int]]:
    wrong = (e for e in compare(found, expected) if e.match is not Match.MATCHING)
    return [(str(e.match), e.number, e.event.pcr) for e in wrong]


def test_equal_logs_match_entry_for_entry() -> None:
    entries = compare(log(), log())

    assert [entry.number for entry in entries] == list(range(13))
    assert all(entry.match is Match.MATCHING for entry in entries)


def exchanged(events: Events) -> Events:
    return (events[0], log(b"other")[1], *events[2:])


def added(events: Events) -> Events:
    return (*events, events[1])


def left_out(events: Events) -> Events:
    return events[:1] + events[2:]


def reordered(events: Events) -> Events:
    return (events[1], events[0], *events[2:])


def other_data(events: Events) -> Events:
    return (events[0], dataclasses.replace(events[1], data=b"x"), *events[2:])


def other_type(events: Events) -> Events:
    return (events[0], dataclasses.replace(events[1], type=5), *events[2:])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (exchanged, [("unexpected", 1, 8), ("missing", -1, 8)]),
        (added, [("unexpected", 13, 8)]),
        (left_out, [("missing", -1, 8)]),
        (reordered, [("missing", -1, 0), ("unexpected", 1, 0)]),
        (other_data, [("unexpected", 1, 8), ("missing", -1, 8)]),
        (other_type, [("unexpected", 1, 8), ("missing", -1, 8)]),
        (lambda _: (), [("missing", -1, event.pcr) for event in log()]),
    ],
    ids=["exchanged", "added", "left-out", "reordered", "data", "type", "empty"],
)
def test_every_difference_is_named(
    change: Callable[[Events], Events], expected: list[tuple[str, int, int]]
) -> None:
    assert differences(change(log()), log()) == expected


def test_banks_that_both_have_are_compared_and_others_are_not() -> None:
    two = log(banks=("sha256", "sha384"))
    wrong = {**two[1].digests, "sha384": bytes(48)}

    assert differences(log(), two) == []
    assert differences((two[0], dataclasses.replace(two[1], digests=wrong), *two[2:]), two) != []


def test_log_without_sha256_matches_nothing() -> None:
    sha1 = tuple(dataclasses.replace(event, digests={"sha1": bytes(20)}) for event in log())

    assert len(differences(sha1, log())) == 26


def test_closest_is_the_boot_with_the_fewest_differences() -> None:
    found = closest(log(b"b"), {"a": log(b"a")[:5], "b": log(b"b"), "c": log(b"c")})

    assert (found.name, found.differences) == ("b", 0)


def event(pcr: int, kind: int, data: bytes, hashed: bytes | None = None) -> Event:
    digest = hashlib.sha256(data if hashed is None else hashed).digest()
    return Event(pcr=pcr, type=kind, digests={"sha256": digest}, data=data)


@pytest.mark.parametrize(
    ("found", "meaning"),
    [
        (event(0, 8, b"U-Boot 1\0"), "U-Boot's version: U-Boot 1"),
        (event(8, 0xC, b"linux\0", b"k"), "the kernel, as it is stored in the FIT"),
        (event(9, 0xC, b"initrd\0", b"r"), "the initramfs, as it is stored in the FIT"),
        (event(9, 0xC, b"initrd\0"), "no initramfs"),
        (event(1, 0xA, b"\0"), "U-Boot's bootargs: unset"),
        (event(1, 0xA, b"init=/bin/sh\0"), "U-Boot's bootargs variable: init=/bin/sh"),
        (event(3, 4, b"\xff" * 4), "U-Boot's separator in PCR 3: all its measurements succeeded"),
        (event(3, 4, b"\1\0\0\0"), "U-Boot's separator in PCR 3: a measurement failed"),
        (event(8, EventType.NO_ACTION, b""), "a note: nothing was measured"),
        (event(0, 8, b"1\0", b"2"), "U-Boot's version: 1; its digest is not that of its data"),
        (event(4, 0x80000003, b"x"), "EV_EFI_BOOT_SERVICES_APPLICATION in PCR 4, which"),
        (event(4, 0xABC, b"x" * 1000), "0x00000abc in PCR 4, which"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_event_is_said_in_words(found: Event, meaning: str) -> None:
    assert explain(found).startswith(meaning)
    assert len(explain(found)) < 400


@pytest.mark.parametrize("number", [0, 0xC, 0x80000006, 0x800000E0, 0xABC, 2**32 - 1])
def test_name_of_an_event_type_gives_its_number_back(number: int) -> None:
    assert event_types.number(event_types.name(number)) == number


@pytest.mark.parametrize("text", ["", "EV_", "0xC", "0x0000000c", "0xzz", "12", "0x-0000001"])
def test_text_that_names_no_event_type_is_none(text: str) -> None:
    assert event_types.number(text) == -1
