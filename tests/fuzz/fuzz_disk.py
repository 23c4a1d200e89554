# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of everything that reads a disk.

    python -m tests.fuzz.fuzz_disk disk|gpt|verity|others|wks CORPUS -max_total_time=600

`disk` checks a whole signed disk that the input changes in one place and, with one bit of it, gives
checksums that fit again. The others ask a reader on its own, with checksums that fit, too: of
partition tables; of hash trees, their superblocks and the command lines that open them; of slot
states and block maps; of layouts. A run ends at the first exception that is no `FormatError`, at an
input that takes 20 seconds, or at 512 MiB. What such a run found is kept in tests/unit/check.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bootseal"]):
    from tests.unit.check.conftest import SIZE, Base, make_base

    from bootseal.check import disk, slot_fit
    from bootseal.check.document import report
    from bootseal.disk import bmap, hash_tree
    from bootseal.disk import image as source
    from bootseal.disk.layout import parse_wks
    from bootseal.errors import FormatError
    from bootseal.formats import gpt, verity
    from bootseal.formats.uboot import environment
    from bootseal.progress import Silent
    from bootseal.report import junit, sarif

SECTOR, MIB, KIB = 512, 1 << 20, 1 << 10
WHOLE = "part --part-name root-a --align 1024 --fixed-size 1M"
_ENTRIES = 128 * 128
_BACKUP = SIZE - SECTOR - _ENTRIES
_PLACES = (
    0,
    SECTOR,
    2 * SECTOR,
    _BACKUP,
    SIZE - SECTOR,
    MIB,  # slot state
    *(2 * MIB + n for n in (0, 40, 8 * KIB, 12 * KIB, 14 * KIB, MIB - 64 * KIB)),
    3 * MIB,
    *(6 * MIB + n for n in (0, 4 * KIB, 8 * KIB)),
)


class Bench:
    """The good disk in memory, and one changed place of it at a time."""

    def __init__(self, directory: Path) -> None:
        self.base: Base = make_base(directory)
        self.file = (directory / "disk.img").open("r+b")
        self.disk = source.Disk(
            name=Path("disk"), path=self.base.target.image, size=SIZE, descriptor=self.file.fileno()
        )

    def check(self, data: bytes) -> None:
        """Check the disk with the input over one of its places."""
        place = _PLACES[data[0] % len(_PLACES)] + data[1]
        image = self.base.image
        changed = data[2:][: SIZE - place]
        edits = {place: changed}
        if data[0] & 0x80 and place < MIB:
            edits |= _checked(image[:place] + changed + image[place + len(changed) : MIB])
        for start, content in edits.items():
            os.pwrite(self.file.fileno(), content, start)
        try:
            verdict = disk.check(self.disk, self.base.target, Silent(), inside=False)
            found = report(self.disk, self.base.target, verdict)
            sarif.sarif(found)
            junit.disk(found)
        finally:
            for start, content in edits.items():
                os.pwrite(self.file.fileno(), image[start : start + len(content)], start)


def _checked(head: bytes) -> dict[int, bytes]:
    """Return both tables of a disk as its head has them, with checksums that fit."""
    entries = head[2 * SECTOR : 2 * SECTOR + _ENTRIES]
    first = bytearray(head[SECTOR : SECTOR + 92])
    struct.pack_into("<I", first, 88, zlib.crc32(entries))
    last = bytearray(first)
    struct.pack_into("<2Q", last, 24, SIZE // SECTOR - 1, 1)
    struct.pack_into("<Q", last, 72, _BACKUP // SECTOR)
    for header in (first, last):
        header[16:20] = bytes(4)
        header[16:20] = zlib.crc32(header).to_bytes(4, "little")
    return {
        SECTOR: bytes(first),
        2 * SECTOR: entries,
        _BACKUP: entries,
        SIZE - SECTOR: bytes(last),
    }


def read_gpt(data: bytes) -> None:
    """Read tables, and entries behind a header that says whatever it likes."""
    with contextlib.suppress(FormatError):
        header = gpt.parse_header(data[:SECTOR])
        gpt.parse_entries(data[SECTOR : SECTOR + header.entries_size], header)
    with contextlib.suppress(FormatError):
        made = _checked(data.ljust(2 * SECTOR + _ENTRIES, b"\0"))
        header = gpt.parse_header(made[SECTOR].ljust(SECTOR, b"\0"))
        gpt.parse_entries(made[2 * SECTOR], header)
    with contextlib.suppress(FormatError):
        gpt.check_protective_mbr(data[:SECTOR], SIZE)


def read_verity(data: bytes) -> None:
    """Read a superblock, and check the block of a small tree that a command line opens."""
    with contextlib.suppress(FormatError):
        verity.parse_superblock(data[:4096].ljust(4096, b"\0"))
    with contextlib.suppress(FormatError):
        opened = slot_fit.parse_bootargs(data.decode("latin-1"), "a")
        levels = opened.levels()
        assert opened.end == verity.TREE_AT + sum(each.blocks for each in levels) * verity.BLOCK
        assert [each.start for each in levels] == sorted((e.start for e in levels), reverse=True)
        root = hash_tree.Root(name="root-a", tree=opened, data=0, hashes=len(data))
        hash_tree.holds(_Memory(data), root, 0, opened.blocks - 1)


class _Memory:
    """Bytes as a disk that ends where they do."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, offset: int, size: int) -> bytes:
        if offset + size > len(self.data):
            raise FormatError("the disk ends")
        return self.data[offset : offset + size]


def read_others(data: bytes) -> None:
    """Read a slot state, as it is and with a checksum that fits, and a block map."""
    for block in (data, zlib.crc32(data[4:]).to_bytes(4, "little") + data[4:]):
        with contextlib.suppress(FormatError):
            environment.parse_environment(block)
    with contextlib.suppress(FormatError):
        bmap.parse(data)


def read_wks(data: bytes) -> None:
    """Read a layout: lines as they are, and as options of a partition that is complete."""
    text = data.decode(errors="replace")
    for layout in (text, f"{WHOLE} {text}\nbootloader --ptable gpt\n"):
        with contextlib.suppress(FormatError):
            found = parse_wks(layout)
            assert all(each.size > 0 for each in found.partitions)
            ends = [each.offset + each.size for each in found.partitions]
            assert all(
                end <= each.offset for end, each in zip(ends, found.partitions[1:], strict=False)
            )


def main() -> None:
    """Fuzz until told otherwise."""
    options = ["-timeout=20", "-rss_limit_mb=512", "-max_len=4096", "-len_control=0"]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        bench = Bench(Path(directory))
        targets = {
            "disk": lambda data: bench.check(data) if len(data) > 1 else None,
            "gpt": read_gpt,
            "verity": read_verity,
            "others": read_others,
            "wks": read_wks,
        }
        atheris.Setup([sys.argv[0], *options, *sys.argv[2:]], targets[sys.argv[1]])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
