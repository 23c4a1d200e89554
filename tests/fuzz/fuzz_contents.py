# SPDX-License-Identifier: MIT
"""What the readers of a disk's contents must survive: any bytes end in a model or a `FormatError`.

`run_contents.py` feeds these functions from libFuzzer; the unit tests run them over the files
kept in `tests/fuzz/corpus`.
"""

from __future__ import annotations

import hashlib
import json
import struct
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from bootseal.check.data import check as data_partition
from bootseal.check.rootfs import programs as rootfs_programs
from bootseal.errors import FormatError, VerificationRefused
from bootseal.firmware import verify as firmware
from bootseal.formats import capability, elf, erofs, fip, luks2, module_signature
from bootseal.keys import tbbr
from bootseal.keys.search import search
from bootseal_agent import document as job_document
from bootseal_agent.errors import Refusal
from bootseal_agent.wire import Thing

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.device import Partition

ENTRY = cast("Partition", SimpleNamespace(name="data", offset=0, size=1 << 20, end=1 << 20))


def luks_copy(text: bytes, *, offset: int, magic: bytes, size: int = 0x4000) -> bytes:
    """Return one copy of a LUKS2 header with a right checksum around any metadata."""
    head = struct.pack(
        ">6sHQQ48s32s64s40s48sQ184s64s3584s",
        *(magic, 2, size, 3, b"", b"sha256", b"salt", b"c5c1a6bb", b"", offset, b"", b"", b""),
    )
    raw = bytearray((head + text[: size - len(head) - 1]).ljust(size, b"\0"))
    raw[448:480] = hashlib.sha256(raw).digest()
    return bytes(raw)


def luks_header(text: bytes) -> bytes:
    """Return both copies of a header."""
    first = luks_copy(text, offset=0, magic=luks2.MAGIC)
    return first + luks_copy(text, offset=len(first), magic=luks2.SECOND_MAGIC)


def one_luks2(data: bytes) -> None:
    """Read and check: bytes as they are, and the same as metadata of a header that is whole."""
    for raw in (data, luks_header(data)):
        with suppress(FormatError):
            header = luks2.parse(raw)
            json.dumps(header.metadata)
            list(data_partition.inspect(header, ENTRY, None))


def one_erofs(data: bytes) -> None:
    """Walk a tree; the image always starts like one."""
    raw = bytearray(data.ljust(2048, b"\0"))
    raw[1024:1028] = struct.pack("<I", erofs.MAGIC)
    with suppress(FormatError):
        image = erofs.Image(bytes(raw))
        for entry in image.walk():
            with suppress(FormatError):
                for value in image.attributes(entry.inode).values():
                    capability.names(value)
            names = entry.path.split(b"/")
            assert not {b"", b".", b".."} & set(names) or not entry.path, entry.path


def one_elf(data: bytes) -> None:
    """Check a program, and look for the sections of a module."""
    for raw in (data, elf.MAGIC + data[4:]):
        with suppress(FormatError):
            elf.sections(raw)
        with suppress(FormatError):
            found = elf.parse(raw)
            if found is not None:
                list(rootfs_programs.weaknesses(found))


def one_fip(data: bytes) -> None:
    """Read a FIP, as it is and behind a good header; what is accepted is what the writer writes."""
    for raw in (data, fip.emit({"nt-fw": b"U-Boot"})[:16] + data[16:]):
        with suppress(FormatError):
            found = fip.parse(raw)
            images = {entry.name: raw[entry.offset : entry.end] for entry in found.entries}
            assert fip.emit(images, alignment=found.alignment) == raw
            verdict = firmware.check(found, "")
            assert verdict.findings
            assert sum(region.end - region.start for region in verdict.regions) == len(raw)


def one_certificate(data: bytes) -> None:
    """Read a certificate of a boot chain."""
    with suppress(FormatError):
        found = tbbr.read(data)
        with suppress(VerificationRefused):
            tbbr.verify(found, found.public_key)


def one_keys(data: bytes) -> None:
    """Look for keys, and read the bytes as a kernel module's signature."""
    list(search.find(data))
    trailer = struct.pack(">BBBBB3xI", 0, 0, 2, 0, 0, max(len(data) - 1, 0))
    for raw in (data, data + trailer + module_signature.MARK):
        with suppress(FormatError):
            module_signature.parse(raw)


def one_job(data: bytes) -> None:
    """A message to the agent: any payload is an event or a refusal, and an update has bounds."""
    prefix = "$aws/things/dev-1/jobs/"
    for topic in ("start-next/accepted", "job-1/get/accepted", "job-1/update/accepted"):
        with suppress(Refusal):
            _, event = Thing(name="dev-1").read(prefix + topic, data)
            update = getattr(getattr(event, "execution", None), "update", None)
            if update is not None:
                assert update.url.startswith("https://")
                assert 0 < update.size <= job_document.MAX_BUNDLE


TARGETS: dict[str, Callable[[bytes], None]] = {
    "job": one_job,
    "luks2": one_luks2,
    "erofs": one_erofs,
    "certificate": one_certificate,
    "elf": one_elf,
    "fip": one_fip,
    "keys": one_keys,
}
