# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.errors import FormatError, UsageError
from bootseal.formats.tpm import eventlog
from bootseal.formats.tpm.eventlog import Event, EventLog, EventType

FDT = bytes.fromhex("d00dfeed 00000030") + bytes(40)
BANKS = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def extend(*hashed: bytes) -> bytes:
    value = bytes(32)
    for data in hashed:
        value = sha256(value + sha256(data))
    return value


@st.composite
def logs(draw: st.DrawFn) -> EventLog:
    names = draw(st.lists(st.sampled_from(sorted(BANKS)), min_size=1, unique=True))
    digests = st.fixed_dictionaries(
        {n: st.binary(min_size=BANKS[n], max_size=BANKS[n]) for n in names}
    )
    event = st.builds(
        Event,
        pcr=st.integers(0, 23),
        type=st.integers(0, 2**32 - 1),
        digests=digests,
        data=st.binary(max_size=40),
    )
    return EventLog(algorithms=tuple(names), events=tuple(draw(st.lists(event, max_size=4))))


def small_log() -> bytes:
    events = eventlog.bootm_events(kernel=b"k", ramdisk=b"r", fdt=FDT)
    return eventlog.emit(EventLog(algorithms=("sha256",), events=events))


def test_bootm_measures_stored_payloads_in_order() -> None:
    events = eventlog.bootm_events(kernel=b"kernel", ramdisk=b"ramdisk", fdt=FDT, bootargs=b"quiet")

    assert [(event.pcr, event.type, event.data) for event in events] == [
        (8, EventType.COMPACT_HASH, b"linux\0"),
        (9, EventType.COMPACT_HASH, b"initrd\0"),
        (1, EventType.TABLE_OF_DEVICES, b"dts\0"),
        (1, EventType.PLATFORM_CONFIG_FLAGS, b"quiet\0"),
        *((pcr, EventType.SEPARATOR, b"\xff\xff\xff\xff") for pcr in range(1, 8)),
    ]
    assert eventlog.replay(events) == {
        1: extend(FDT, b"quiet\0", b"\xff\xff\xff\xff"),
        **{pcr: extend(b"\xff\xff\xff\xff") for pcr in range(2, 8)},
        8: extend(b"kernel"),
        9: extend(b"ramdisk"),
    }


def test_bootm_with_a_version_measures_it_first_and_separates_pcr_0() -> None:
    events = eventlog.bootm_events(kernel=b"k", ramdisk=b"r", fdt=FDT, version=b"U-Boot 1")

    first = events[0]
    assert (first.pcr, first.type, first.data) == (0, EventType.S_CRTM_VERSION, b"U-Boot 1\0")
    assert [event.pcr for event in events[5:]] == list(range(8))
    assert eventlog.replay(events)[0] == extend(b"U-Boot 1\0", b"\xff\xff\xff\xff")


@pytest.mark.parametrize("bank", sorted(BANKS))
def test_bootm_measures_into_every_bank(bank: str) -> None:
    events = eventlog.bootm_events(kernel=b"k", ramdisk=None, fdt=FDT, banks=["sha256", bank])

    digest = hashlib.new(bank, b"k").digest()
    assert (
        eventlog.replay(events, bank)[8] == hashlib.new(bank, bytes(BANKS[bank]) + digest).digest()
    )


@pytest.mark.parametrize("banks", [["sm3"], []], ids=["unknown", "none"])
def test_bootm_with_banks_u_boot_has_not_is_refused(banks: list[str]) -> None:
    with pytest.raises(UsageError, match="U-Boot measures into sha1, sha256"):
        eventlog.bootm_events(kernel=b"k", ramdisk=None, fdt=FDT, banks=banks)


def test_bootm_without_bootargs_measures_a_single_nul() -> None:
    events = eventlog.bootm_events(kernel=b"k", ramdisk=b"r", fdt=FDT)

    assert eventlog.replay(events)[1] == extend(FDT, b"\0", b"\xff\xff\xff\xff")


def test_bootm_without_ramdisk_measures_the_name_instead() -> None:
    events = eventlog.bootm_events(kernel=b"k", ramdisk=None, fdt=FDT)

    assert eventlog.replay(events)[9] == extend(b"initrd\0")


def test_bootm_measures_an_empty_ramdisk_as_empty() -> None:
    events = eventlog.bootm_events(kernel=b"k", ramdisk=b"", fdt=FDT)

    assert eventlog.replay(events)[9] == extend(b"")


def test_bootm_measures_the_device_tree_to_its_declared_size() -> None:
    longer = eventlog.bootm_events(kernel=b"k", ramdisk=b"r", fdt=FDT + b"behind")

    assert eventlog.replay(longer)[1] == extend(FDT, b"\0", b"\xff\xff\xff\xff")


@pytest.mark.parametrize("fdt", [FDT[:-1], b"", b"x" * 48, FDT[:4] + bytes(44)])
def test_bootm_with_something_else_than_a_device_tree_is_refused(fdt: bytes) -> None:
    with pytest.raises(FormatError, match="the device tree of"):
        eventlog.bootm_events(kernel=b"k", ramdisk=b"r", fdt=fdt)


def test_replay_skips_events_that_extend_nothing() -> None:
    note = Event(pcr=0, type=EventType.NO_ACTION, digests={}, data=b"")

    assert eventlog.replay([note]) == {}


def test_replay_of_a_bank_that_was_not_logged_is_refused() -> None:
    with pytest.raises(FormatError, match="no sha384 digest"):
        eventlog.replay(eventlog.bootm_events(kernel=b"k", ramdisk=b"r", fdt=FDT), "sha384")


@given(logs())
def test_parse_of_an_emitted_log_gives_it_back(log: EventLog) -> None:
    assert eventlog.parse(eventlog.emit(log)) == log


@given(st.binary(max_size=200))
def test_parse_of_any_bytes_is_a_log_or_a_format_error(data: bytes) -> None:
    try:
        eventlog.parse(data)
    except FormatError:
        return
    pytest.fail("random bytes were read as a log")


def test_parse_of_a_log_cut_anywhere_inside_an_event_is_refused() -> None:
    data = small_log()
    whole = {end for end in range(len(data)) if _parses(data[:end])}

    # Only a cut between two events leaves a log: after the header and each of the first ten.
    assert len(whole) == 11


def test_parse_of_a_log_longer_than_any_firmware_keeps_is_refused() -> None:
    with pytest.raises(FormatError, match="expected at most 1048576"):
        eventlog.parse(small_log() + bytes(1 << 20))


def _parses(data: bytes) -> bool:
    try:
        eventlog.parse(data)
    except FormatError:
        return False
    return True


def replace(offset: int, new: bytes) -> bytes:
    data = bytearray(small_log())
    data[offset : offset + len(new)] = new
    return bytes(data)


HEADER_END = 32 + 33


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (small_log() + b"\0", "needs 4 bytes, 1 are left"),
        (replace(0, b"\1"), "not the specification event"),
        (replace(8, b"\1"), "not the specification event"),
        (replace(32, b"X"), "lacks the signature"),
        (replace(32 + 21, b"\1"), "version 1.0"),
        (replace(32 + 24, b"\0"), "vendor information needs 11 bytes"),
        (replace(32 + 28, b"\x12"), "algorithm 0x0012"),
        (replace(32 + 30, b"\x14"), "algorithm 0x000b with 20 bytes"),
        (replace(HEADER_END, struct.pack("<I", 24)), "PCR index 24"),
        (replace(HEADER_END + 8, b"\2"), "2 digests: the header declares 1"),
        (replace(HEADER_END + 12, b"\4"), "digest of algorithm 0x0004"),
        (replace(HEADER_END + 46, b"\xff\xff\xff\xff"), "event data needs 4294967295 bytes"),
    ],
)
def test_parse_of_a_damaged_log_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        eventlog.parse(data)


def test_a_changed_digest_changes_the_replay() -> None:
    before = eventlog.parse(small_log())
    after = eventlog.parse(replace(HEADER_END + 14, b"\xff\xff"))

    assert eventlog.replay(before.events)[8] != eventlog.replay(after.events)[8]
    assert eventlog.replay(before.events)[9] == eventlog.replay(after.events)[9]
