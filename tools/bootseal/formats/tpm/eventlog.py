# SPDX-License-Identifier: MIT
"""Measured-boot events: what U-Boot is expected to log, the log itself, and its replay.

The log is the TCG "crypto-agile" form, little-endian: one TCG_PCR_EVENT header that names the
hash algorithms and the sizes of their digests, then TCG_PCR_EVENT2 records. The older form of a
TPM 1.2, TCG_PCR_EVENT records with one SHA-1 digest each, is read too.

Spec: TCG PC Client Platform Firmware Profile 1.05, sections 10 and 10.4.5.3 (StartupLocality).
U-Boot: lib/tpm_tcg2.c and bootm_measure() in boot/bootm.c, v2024.07 and later.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bootseal.errors import FormatError, UsageError
from bootseal.formats.tpm import event_types
from bootseal.formats.tpm.policy import PCR_COUNT

PCR_FIRMWARE: Final = 0
PCR_CONFIGURATION: Final = 1
PCR_KERNEL: Final = 8
PCR_INITRAMFS: Final = 9

BANKS: Final = ("sha1", "sha256", "sha384", "sha512")
"""The banks U-Boot can measure into; it measures into those that the TPM has switched on."""
MAX_SIZE: Final = 1 << 20
"""Bytes of the longest log that is read; ours has less than a thousand, its memory 64 KiB."""
SEPARATED: Final = range(8)
"""The PCRs that get a separator when U-Boot hands over."""

_FDT_MAGIC: Final = bytes.fromhex("d00dfeed")
_FDT_HEADER_SIZE: Final = 40
SEPARATOR: Final = b"\xff" * 4
_SIGNATURE: Final = b"Spec ID Event03\0"
_STARTUP_LOCALITY: Final = b"StartupLocality\0"
_LAST_LOCALITY: Final = 4
# What unwritten memory and unwritten flash hold.
_FILLERS: Final = (b"\x00", b"\xff")
_ALGORITHMS: Final = {0x0004: "sha1", 0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
_UNREAD: Final = {0x0012: "sm3_256", 0x0027: "sha3_256", 0x0028: "sha3_384", 0x0029: "sha3_512"}
_SPEC_MAJOR: Final = 2
_OLD_HEADER_SIZE: Final = 28


class EventType(IntEnum):
    """The event types that our TF-A and U-Boot use; a log may hold others."""

    POST_CODE = 0x1
    NO_ACTION = 0x3
    SEPARATOR = 0x4
    S_CRTM_VERSION = 0x8
    PLATFORM_CONFIG_FLAGS = 0xA
    TABLE_OF_DEVICES = 0xB
    COMPACT_HASH = 0xC


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One measurement.

    Attributes:
        pcr: Index of the PCR that was extended.
        type: An `EventType`, or another number of the specification.
        digests: What it was extended with, by bank (`sha256`, ...).
        data: The event data as logged, which need not be what was hashed.
    """

    pcr: int
    type: int
    digests: dict[str, bytes]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """A parsed log.

    Attributes:
        algorithms: The banks that its header declares and that are read here.
        events: The events after the header; after none in a log of a TPM 1.2.
        skipped: The banks that its header declares and that are not read here, by name or number.
        padding: How many bytes of a filler, 0x00 or 0xff, were after the last event.
        tpm: "2.0", or "1.2".
    """

    algorithms: tuple[str, ...]
    events: tuple[Event, ...]
    skipped: tuple[str, ...] = ()
    padding: int = 0
    tpm: str = "2.0"


def bootm_events(
    *,
    kernel: bytes | memoryview,
    ramdisk: bytes | memoryview | None,
    fdt: bytes | memoryview,
    bootargs: bytes = b"",
    version: bytes | None = None,
    banks: Sequence[str] = ("sha256",),
) -> tuple[Event, ...]:
    """Return what U-Boot's `bootm ADDR#conf` measures, in order.

    Args:
        kernel: Payload as stored, so still compressed.
        ramdisk: Payload as stored. Without one U-Boot hashes its own event data.
        fdt: Device tree as stored; only the size its header declares is measured.
        bootargs: The environment variable, empty when unset; measured with a final NUL, and
            before any substitution.
        version: U-Boot's version string without its NUL. When it is not known, everything that
            goes into PCR 0 is left out.
        banks: The hash algorithms to measure with.

    Raises:
        FormatError: The device tree is none, or shorter than its header declares.
        UsageError: U-Boot has no such bank.
    """
    _check_banks(banks)
    initrd = b"initrd\0"
    arguments = bootargs + b"\0"
    ramdisk_hashed = initrd if ramdisk is None else ramdisk
    measured: list[tuple[int, EventType, bytes | memoryview, bytes]] = [
        (PCR_KERNEL, EventType.COMPACT_HASH, kernel, b"linux\0"),
        (PCR_INITRAMFS, EventType.COMPACT_HASH, ramdisk_hashed, initrd),
        (PCR_CONFIGURATION, EventType.TABLE_OF_DEVICES, _declared(fdt), b"dts\0"),
        (PCR_CONFIGURATION, EventType.PLATFORM_CONFIG_FLAGS, arguments, arguments),
        *((pcr, EventType.SEPARATOR, SEPARATOR, SEPARATOR) for pcr in SEPARATED),
    ]
    if version is None:
        measured = [one for one in measured if one[0] != PCR_FIRMWARE]
    else:
        text = version + b"\0"
        measured.insert(0, (PCR_FIRMWARE, EventType.S_CRTM_VERSION, text, text))
    return tuple(
        Event(
            pcr=pcr,
            type=kind,
            digests={bank: _digest(bank, hashed) for bank in banks},
            data=data,
        )
        for pcr, kind, hashed, data in measured
    )


def version_events(version: bytes) -> tuple[Event, ...]:
    """Return what U-Boot measures into PCR 0, in SHA-256: its version string, and the end.

    Args:
        version: U-Boot's version string without its NUL.
    """
    text = version + b"\0"
    measured = ((EventType.S_CRTM_VERSION, text), (EventType.SEPARATOR, SEPARATOR))
    return tuple(
        Event(pcr=PCR_FIRMWARE, type=kind, digests={"sha256": _digest("sha256", data)}, data=data)
        for kind, data in measured
    )


def _check_banks(banks: Sequence[str]) -> None:
    if not banks or (unknown := [bank for bank in banks if bank not in BANKS]):
        asked = ", ".join(unknown) if banks else "none"
        raise UsageError(f"PCR bank {asked}: U-Boot measures into {', '.join(BANKS)}")


def _declared(fdt: bytes | memoryview) -> bytes | memoryview:
    """Return as much of a device tree as its header declares."""
    magic, declared = bytes(fdt[:4]), int.from_bytes(fdt[4:8], "big")
    if magic != _FDT_MAGIC or not _FDT_HEADER_SIZE <= declared <= len(fdt):
        raise FormatError(
            f"the device tree of {len(fdt)} bytes has the magic {magic.hex()} and declares "
            f"{declared} bytes: expected {_FDT_MAGIC.hex()} and no more than there are"
        )
    return fdt[:declared]


def replay(events: Iterable[Event], bank: str = "sha256") -> dict[int, bytes]:
    """Return the resulting values of the PCRs that the events extend.

    These start as zeros. PCR 0 starts as the locality that a StartupLocality event names, and is
    among the values even if nothing extends it then.

    Raises:
        FormatError: An event has no digest of this bank, or see `startup_locality`.
    """
    events = tuple(events)
    start = startup_locality(events)
    size = hashlib.new(bank, usedforsecurity=False).digest_size
    pcrs = {PCR_FIRMWARE: start.to_bytes(size, "big")} if start else {}
    for event in events:
        if event.type == EventType.NO_ACTION:
            continue
        if bank not in event.digests:
            raise FormatError(f"an event of PCR {event.pcr} has no {bank} digest")
        digest = event.digests[bank]
        old = pcrs.get(event.pcr, bytes(len(digest)))
        pcrs[event.pcr] = hashlib.new(bank, old + digest).digest()
    return pcrs


def startup_locality(events: Iterable[Event]) -> int:
    """Return the locality that started the TPM: what PCR 0 holds before it is extended.

    It is 0 unless an EV_NO_ACTION event of PCR 0 says otherwise, as TF-A and PC firmware log it.

    Raises:
        FormatError: The locality cannot start a TPM, there are two of them, or PCR 0 was extended
            before. Such a log says two things about PCR 0.
    """
    found: int | None = None
    extended = False
    for event in events:
        if event.pcr != PCR_FIRMWARE:
            continue
        if (locality := locality_of(event)) is None:
            extended |= event.type != EventType.NO_ACTION
        elif extended or found is not None or locality > _LAST_LOCALITY:
            raise FormatError(
                f"the event log has StartupLocality {locality} where PCR 0 cannot start from it: "
                f"expected one such event, of locality 0 to {_LAST_LOCALITY}, before PCR 0 is "
                "extended"
            )
        else:
            found = locality
    return found or 0


def locality_of(event: Event) -> int | None:
    """Return the locality of a StartupLocality event, nothing for every other event."""
    is_one = (
        event.pcr == PCR_FIRMWARE
        and event.type == EventType.NO_ACTION
        and event.data.startswith(_STARTUP_LOCALITY)
        and len(event.data) == len(_STARTUP_LOCALITY) + 1
    )
    return event.data[-1] if is_one else None


def parse(data: bytes) -> EventLog:
    """Read a log as the kernel shows it (`binary_bios_measurements`), or its whole memory.

    A filler behind the last event is not part of the log; any other byte behind it is an error.
    Digests of banks that are not known here are skipped by the sizes that the header declares.

    Raises:
        FormatError: It is cut short, too long, empty, has bytes left over, or breaks its own
            header.
    """
    if len(data) > MAX_SIZE:
        raise FormatError(f"the event log has {len(data)} bytes: expected at most {MAX_SIZE}")
    # Where the filler begins, or inside the last event if that ends in the same bytes.
    end = min(len(data.rstrip(filler)) for filler in _FILLERS)
    if end == 0:
        raise FormatError(f"the event log is empty: its {len(data)} bytes hold no event")
    reader = _Reader(data)
    old = _is_old(data)
    sizes = {} if old else _read_header(reader)
    events = []
    while reader.offset < end:
        events.append(_read_old_event(reader) if old else _read_event(reader, sizes))
    log = EventLog(
        algorithms=("sha1",) if old else tuple(_ALGORITHMS[n] for n in sizes if n in _ALGORITHMS),
        events=tuple(events),
        skipped=tuple(
            _UNREAD.get(number, f"{number:#06x}") for number in sizes if number not in _ALGORITHMS
        ),
        padding=len(data) - reader.offset,
        tpm="1.2" if old else "2.0",
    )
    startup_locality(log.events)
    return log


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, size: int, what: str) -> bytes:
        if size > len(self.data) - self.offset:
            left = len(self.data) - self.offset
            raise self.error(f"{what} needs {size} bytes, {left} are left")
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "little")

    def error(self, message: str) -> FormatError:
        return FormatError(f"event log, offset {self.offset}: {message}")


def _is_old(data: bytes) -> bool:
    """Tell whether the first event can only be one of a TPM 1.2: of a known type, with a digest.

    The specification event of a TPM 1.2 log, `Spec ID Event00` or `02`, has no digest.
    """
    pcr, kind, digest = struct.unpack_from("<II20s", data.ljust(_OLD_HEADER_SIZE, b"\0"))
    if pcr >= PCR_COUNT or not event_types.is_known(kind):
        return False
    if kind == EventType.NO_ACTION:
        return data[32:46] == _SIGNATURE[:14] and data[46:47] in b"02"
    return any(digest)


def _read_header(reader: _Reader) -> dict[int, int]:
    """Return the sizes of the digests by algorithm, in the header's order."""
    pcr, kind = reader.number(4, "PCR index"), reader.number(4, "event type")
    digest = reader.take(20, "SHA-1 digest")
    body = _Reader(reader.take(reader.number(4, "event size"), "specification event"))
    if (pcr, kind) != (0, EventType.NO_ACTION) or any(digest):
        raise reader.error("the first event is not the specification event")
    if body.take(16, "signature") != _SIGNATURE:
        raise reader.error("the header lacks the signature 'Spec ID Event03'")
    if (version := body.take(8, "version"))[5] != _SPEC_MAJOR:
        raise reader.error(f"specification version {version[5]}.{version[4]}: expected 2.x")
    sizes: dict[int, int] = {}
    for _ in range(body.number(4, "algorithm count")):
        number, size = body.number(2, "algorithm"), body.number(2, "digest size")
        name = _ALGORITHMS.get(number)
        wrong = name is not None and hashlib.new(name).digest_size != size
        if wrong or not size or number in sizes:
            raise reader.error(f"algorithm {number:#06x} with {size} bytes is not expected here")
        sizes[number] = size
    body.take(body.number(1, "vendor size"), "vendor information")
    if not sizes or body.offset != len(body.data):
        raise reader.error("the header declares no algorithm, or has bytes left over")
    return sizes


def _read_event(reader: _Reader, sizes: Mapping[int, int]) -> Event:
    pcr, kind = _read_place(reader)
    if (count := reader.number(4, "digest count")) != len(sizes):
        raise reader.error(f"{count} digests: the header declares {len(sizes)}")
    digests: dict[int, bytes] = {}
    for _ in sizes:
        number = reader.number(2, "algorithm")
        if number not in sizes or number in digests:
            raise reader.error(f"a digest of algorithm {number:#06x} is not expected here")
        digests[number] = reader.take(sizes[number], "digest")
    data = reader.take(reader.number(4, "event size"), "event data")
    known = {_ALGORITHMS[n]: digest for n, digest in digests.items() if n in _ALGORITHMS}
    return Event(pcr=pcr, type=kind, digests=known, data=data)


def _read_old_event(reader: _Reader) -> Event:
    """Read a TCG_PCR_EVENT of a TPM 1.2."""
    pcr, kind = _read_place(reader)
    digest = reader.take(20, "SHA-1 digest")
    data = reader.take(reader.number(4, "event size"), "event data")
    return Event(pcr=pcr, type=kind, digests={"sha1": digest}, data=data)


def _read_place(reader: _Reader) -> tuple[int, int]:
    pcr, kind = reader.number(4, "PCR index"), reader.number(4, "event type")
    if pcr >= PCR_COUNT:
        raise reader.error(f"PCR index {pcr}: expected less than {PCR_COUNT}")
    return pcr, kind


def _digest(bank: str, data: bytes | memoryview) -> bytes:
    # SHA-1 is here because a TPM may have the bank on, not because anything is decided by it.
    return hashlib.new(bank, data, usedforsecurity=bank != "sha1").digest()
