# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import event_logs

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
    return event_logs.emit(EventLog(algorithms=("sha256",), events=events))


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
    assert eventlog.parse(event_logs.emit(log)) == log


@given(st.binary(max_size=200))
def test_parse_of_any_bytes_is_a_log_or_a_format_error(data: bytes) -> None:
    try:
        log = eventlog.parse(data)
    except FormatError:
        return
    # Records of a TPM 1.2 log have nothing that tells them from other bytes.
    assert log.tpm == "1.2"


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
        (small_log() + b"\1", "needs 4 bytes, 1 are left"),
        (small_log() + bytes(64) + b"\1", "0 digests: the header declares 1"),
        (small_log() + b"\0\xff", "needs 4 bytes, 2 are left"),
        (bytes(64), "is empty"),
        (b"\xff" * 64, "is empty"),
        (b"", "is empty"),
        (replace(0, b"\1"), "not the specification event"),
        (replace(8, b"\1"), "not the specification event"),
        (replace(32, b"X"), "lacks the signature"),
        (replace(32 + 21, b"\1"), "version 1.0"),
        (replace(32 + 24, b"\0"), "vendor information needs 11 bytes"),
        (replace(32 + 28, b"\x12"), "a digest of algorithm 0x000b is not expected"),
        (replace(32 + 30, b"\0"), "algorithm 0x000b with 0 bytes"),
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


def note(data: bytes, pcr: int = 0) -> Event:
    return Event(pcr=pcr, type=EventType.NO_ACTION, digests={"sha256": bytes(32)}, data=data)


def locality(number: int) -> Event:
    return note(b"StartupLocality\0" + bytes([number]))


def measured(data: bytes, pcr: int = 0) -> Event:
    return Event(pcr=pcr, type=EventType.COMPACT_HASH, digests={"sha256": sha256(data)}, data=data)


@pytest.mark.parametrize("number", [0, 3, 4])
def test_pcr_0_starts_at_the_locality_that_started_the_tpm(number: int) -> None:
    log = EventLog(
        algorithms=("sha256",), events=(locality(number), measured(b"x"), measured(b"y", 1))
    )

    found = eventlog.parse(event_logs.emit(log))

    assert eventlog.startup_locality(found.events) == number
    assert eventlog.replay(found.events) == {
        0: sha256(bytes(31) + bytes([number]) + sha256(b"x")),
        1: extend(b"y"),
    }


def test_pcr_0_that_nothing_extends_holds_the_locality() -> None:
    assert eventlog.replay([locality(3)]) == {0: bytes(31) + b"\3"}


@pytest.mark.parametrize(
    "event",
    [note(b"StartupLocality\0\3", pcr=1), note(b"StartupLocality\0\3\0"), measured(b"x", 1)],
    ids=["another PCR", "another size", "measured"],
)
def test_event_that_only_looks_like_a_startup_locality_changes_nothing(event: Event) -> None:
    assert eventlog.startup_locality([event]) == 0


@pytest.mark.parametrize(
    "events",
    [(measured(b"x"), locality(3)), (locality(3), locality(4)), (locality(5),)],
    ids=["late", "twice", "no locality"],
)
def test_startup_locality_that_contradicts_the_log_is_refused(events: tuple[Event, ...]) -> None:
    data = event_logs.emit(EventLog(algorithms=("sha256",), events=events))

    with pytest.raises(FormatError, match="where PCR 0 cannot start from it"):
        eventlog.parse(data)


@pytest.mark.parametrize("filler", [b"\0", b"\xff"], ids=["memory", "flash"])
@pytest.mark.parametrize("size", [1, 31, 65536])
def test_dump_of_the_whole_memory_of_a_log_is_read(filler: bytes, size: int) -> None:
    found = eventlog.parse(small_log() + filler * size)

    assert found.padding == size
    assert found.events == eventlog.parse(small_log()).events


def with_unknown_bank(number: int, size: int) -> bytes:
    """Return `small_log` with the digests of one more bank in front of those of SHA-256."""
    log = eventlog.parse(small_log())
    header = bytearray(small_log()[:HEADER_END])
    header[28:32] = struct.pack("<I", 33 + 4)
    header[56:60] = struct.pack("<I", 2)
    header[60:60] = struct.pack("<HH", number, size)
    for event in log.events:
        header += struct.pack("<III", event.pcr, event.type, 2)
        header += struct.pack("<H", number) + b"\xaa" * size
        header += struct.pack("<H", 0x000B) + event.digests["sha256"]
        header += struct.pack("<I", len(event.data)) + event.data
    return bytes(header)


@pytest.mark.parametrize(
    ("number", "size", "name"),
    [(0x0012, 32, "sm3_256"), (0x0027, 32, "sha3_256"), (0x4321, 7, "0x4321")],
)
def test_bank_that_is_not_known_is_skipped_by_its_declared_size(
    number: int, size: int, name: str
) -> None:
    found = eventlog.parse(with_unknown_bank(number, size))

    assert found.skipped == (name,)
    assert found.algorithms == ("sha256",)
    assert found.events == eventlog.parse(small_log()).events


def test_unknown_bank_of_another_size_than_declared_is_refused() -> None:
    data = bytearray(with_unknown_bank(0x0012, 32))
    data[62:64] = struct.pack("<H", 31)

    with pytest.raises(FormatError, match="is not expected here"):
        eventlog.parse(bytes(data))


def old_event(pcr: int, kind: int, data: bytes, digest: bytes | None = None) -> bytes:
    hashed = hashlib.sha1(data).digest() if digest is None else digest  # noqa: S324 - TPM 1.2
    return struct.pack("<II", pcr, kind) + hashed + struct.pack("<I", len(data)) + data


@pytest.mark.parametrize(
    "header", [b"", old_event(0, 3, b"Spec ID Event02\0" + bytes(13), bytes(20))]
)
def test_log_of_a_tpm_1_2_is_read(header: bytes) -> None:
    data = header + old_event(0, EventType.S_CRTM_VERSION, b"1.0") + old_event(4, 4, bytes(4))

    found = eventlog.parse(data + bytes(32))

    assert (found.tpm, found.algorithms, found.padding) == ("1.2", ("sha1",), 32)
    one = hashlib.sha1(bytes(20) + hashlib.sha1(b"1.0").digest()).digest()  # noqa: S324 - TPM 1.2
    assert eventlog.replay(found.events, "sha1")[0] == one


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (old_event(0, 8, b"1.0")[:-1], "event data needs 3 bytes"),
        (old_event(0, 8, b"1.0") + old_event(24, 8, b""), "PCR index 24"),
        (old_event(0, 8, b"1.0", bytes(20)), "not the specification event"),
        (old_event(0, 3, b"Spec ID Event04\0" + bytes(13), bytes(20)), "lacks the signature"),
        (old_event(0, 0xABC, b"1.0"), "not the specification event"),
    ],
    ids=["cut", "no such PCR", "no digest", "another version", "no such type"],
)
def test_damaged_log_of_a_tpm_1_2_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        eventlog.parse(data)


def test_many_events_before_a_long_filler_are_read_in_linear_time() -> None:
    one = event_logs.emit(EventLog(algorithms=("sha256",), events=(measured(b""),)))[HEADER_END:]
    data = small_log()[:HEADER_END] + one * 10_000

    assert len(eventlog.parse(data.ljust(1 << 20, b"\0")).events) == 10_000
