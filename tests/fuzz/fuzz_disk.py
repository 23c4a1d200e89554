# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of everything that reads a disk.

    python tests/fuzz/fuzz_disk.py disk|formats CORPUS -max_total_time=600

`disk` judges a whole disk, `formats` asks each reader on its own, with checksums that fit, too. A
run ends at the first exception that is no `FormatError`, at an input that takes 20 seconds,
or at 512 MiB. What `disk` is given is laid over a place of a small disk that is read as a
structure: the first byte says where, the second may say how long the disk is, the rest is what.
What such a run found is kept in tests/unit/disk.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import tempfile
import uuid
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bootseal"]):
    from bootseal.device import Partition, Slot
    from bootseal.disk import bmap, check, source, target
    from bootseal.disk.document import verdict
    from bootseal.errors import FormatError
    from bootseal.events import Silent
    from bootseal.formats import gpt, uboot_env, verity
    from bootseal.report import disk as report

SECTOR, MIB = 512, 1 << 20
SIZE = 6 * MIB
_SHORT = 16
_NAMES = ("bootstate", "boot-a", "root-a", "root-a-verity")
_TYPE = "b921b045-1df0-41c3-af44-4c6f280d3fae"

PARTITIONS = tuple(
    Partition(number=n, name=name, type=_TYPE, uuid=_TYPE, offset=n * MIB, size=MIB)
    for n, name in enumerate(_NAMES, start=1)
)
SLOT = Slot(
    name="a",
    configuration="conf-a",
    boot="boot-a",
    root="root-a",
    verity="root-a-verity",
    root_hash="",
    pcrs={},
)
TARGET = target.Target(image=Path("disk"), control=b"", partitions=PARTITIONS, slots=(SLOT,))


def judge_disk(data: bytes) -> None:
    """Judge a disk whose tables, or the start or end of whose partitions, are the input."""
    size = SECTOR * data[1] if len(data) > 1 and data[1] < _SHORT else SIZE
    places = (0, SECTOR, 2 * SECTOR, SIZE - SECTOR, SIZE - 33 * SECTOR, MIB, 2 * MIB, 3 * MIB)
    ends = (2 * MIB - 65536, 3 * MIB - 65536, 4 * MIB)
    where = (*places, *ends)[data[0] % (len(places) + len(ends)) if data else 0]
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        for start, content in _GOOD.items():
            if start < size:
                os.pwrite(file.fileno(), content, start)
        os.pwrite(file.fileno(), data[2:], where)
        length = os.fstat(file.fileno()).st_size
        disk = source.Disk(
            name=Path("disk"), path=Path("disk"), size=length, descriptor=file.fileno()
        )
        document = verdict(disk, TARGET, check.check(disk, TARGET, Silent(), inside=False))
        report.render(document, "sarif")
        report.render(document, "junit")


def read_formats(data: bytes) -> None:
    """Each reader on its own, and entries behind a header that says whatever it likes."""
    for made in (data, _checked(data)):
        with contextlib.suppress(FormatError):
            header = gpt.parse_header(made[:SECTOR])
            gpt.parse_entries(made[SECTOR : SECTOR + header.entries_size], header)
    with contextlib.suppress(FormatError):
        gpt.check_protective_mbr(data[:SECTOR], SIZE)
    with contextlib.suppress(FormatError):
        verity.parse_superblock(data[:4096].ljust(4096, b"\0"))
    for made in (data, zlib.crc32(data[4:]).to_bytes(4, "little") + data[4:]):
        with contextlib.suppress(FormatError):
            uboot_env.parse_environment(made)
    with contextlib.suppress(FormatError):
        bmap.parse(data)


def _checked(data: bytes) -> bytes:
    """Return a GPT header and its entries with checksums that fit."""
    entries = data[SECTOR:].ljust(128 * 128, b"\0")[: 128 * 128]
    header = bytearray(data[:92].ljust(92, b"\0"))
    fixed = (b"EFI PART", 0x10000, 92, 0, 0)
    struct.pack_into("<8s4I", header, 0, *fixed)
    struct.pack_into("<3I", header, 80, 128, 128, zlib.crc32(entries))
    header[16:20] = zlib.crc32(header).to_bytes(4, "little")
    return bytes(header).ljust(SECTOR, b"\0") + entries


def _good() -> dict[int, bytes]:
    """Return the valid tables of a disk, so that a run reaches what is behind them."""
    guid = uuid.UUID(_TYPE).bytes_le
    entries = b"".join(
        struct.pack(
            "<16s16s3Q72s", guid, guid, p.offset // SECTOR, (p.offset + p.size) // SECTOR - 1, 0,
            p.name.encode("utf-16-le"),
        )
        for p in PARTITIONS
    ).ljust(128 * 128, b"\0")  # fmt: skip
    last = SIZE // SECTOR - 1

    def header(place: int, other: int, table: int) -> bytes:
        numbers = [0x10000, 92, 0, 0, place, other, 2048, last - 33]
        rest = [table, 128, 128, zlib.crc32(entries)]
        packed = bytearray(struct.pack("<8s4I4Q16sQ3I", b"EFI PART", *numbers, guid, *rest))
        packed[16:20] = zlib.crc32(packed).to_bytes(4, "little")
        return bytes(packed)

    return {
        SECTOR: header(1, last, 2),
        2 * SECTOR: entries,
        SIZE - 33 * SECTOR: entries,
        SIZE - SECTOR: header(last, 1, last - 32),
    }


_GOOD = _good()


TARGETS = {"disk": judge_disk, "formats": read_formats}


def main() -> None:
    """Fuzz until told otherwise."""
    options = ["-timeout=20", "-rss_limit_mb=512", "-max_len=8192", "-len_control=0"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
