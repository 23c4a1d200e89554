# SPDX-License-Identifier: MIT
"""How a program or library was hardened, according to its ELF headers.

The sections of a program are not needed to run it and anyone can strip or invent them, so only what
the loader uses is looked at: program headers and the dynamic table. Of an object file, such as a
kernel module, only the sections have names, and those are what is asked for.

Spec: System V ABI, chapter 5; binutils include/elf/common.h for the GNU additions.
"""

from __future__ import annotations

import io
import re
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Literal, cast

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from bootseal.errors import FormatError

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

MAGIC: Final = b"\x7fELF"

_MAX_HEADERS: Final = 256
_MAX_TAGS: Final = 8192
_MAX_STRINGS: Final = 16 << 20
# The first number that means something else, SHN_LORESERVE.
_MAX_SECTIONS: Final = 0xFF00
_HEADER: Final = 64
_MAX_PATH: Final = 4096
_MAX_NAMED: Final = 256
_SEARCH: Final = ("DT_RPATH", "DT_RUNPATH")
_NEEDED: Final = ("DT_NEEDED", "DT_AUDIT", "DT_DEPAUDIT", "DT_FILTER", "DT_AUXILIARY")
_EXECUTABLE: Final = 1
_WRITABLE: Final = 2
# Offset and form of e_shoff, e_shnum and e_shstrndx by ELF class.
_SECTION_FIELDS: Final = {1: ((32, 4), (48, 2), (50, 2)), 2: ((40, 8), (60, 2), (62, 2))}
_DF_TEXTREL: Final = 4
_DF_BIND_NOW: Final = 8
_DF_1_NOW: Final = 1
_DF_1_PIE: Final = 0x08000000
_CHECKED: Final = re.compile(rb"\0__(?!stack)[a-z0-9_]{1,40}_chk\0")
_CHECKABLE: Final = re.compile(
    rb"\0(?:memcpy|memmove|memset|strcpy|strcat|strncpy|sprintf|snprintf|vsnprintf|read|fgets)\0"
)


@dataclass(frozen=True, slots=True)
class _Segment:
    type: str
    flags: int
    offset: int
    address: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """The hardening facts in a file's headers.

    Attributes:
        program: Whether it can be started, rather than loaded by another.
        dynamic: Whether it has a dynamic table.
        pie: Whether it can be loaded anywhere.
        stack_executable: Whether it asks for an executable stack, or says nothing about it.
        writable_code: Whether a segment is writable and executable at once.
        text_relocations: Whether its code is written to while it is loaded.
        relro: Whether its relocations become read-only.
        bind_now: Whether all of them are made at the start.
        canary: Whether it uses the stack protector.
        fortified: Whether it uses a checked function; None when it calls none that could be.
        search: Its RPATH and RUNPATH entries.
        interpreter: The program that loads it; empty without one.
        needed: The libraries and auditors it is loaded with, as they are named.
    """

    program: bool
    dynamic: bool
    pie: bool
    stack_executable: bool
    writable_code: bool
    text_relocations: bool
    relro: bool
    bind_now: bool
    canary: bool
    fortified: bool | None
    search: tuple[str, ...]
    interpreter: str
    needed: tuple[str, ...]


class _Stream(io.RawIOBase):
    """Reads a file without copying it, and without the table of sections.

    Nothing needs that table, and it can be made to take ages.
    """

    def __init__(self, data: mmap.mmap | bytes) -> None:
        fields = _SECTION_FIELDS.get(data[4]) if len(data) >= _HEADER else None
        if fields is None or data[: len(MAGIC)] != MAGIC:
            raise FormatError("the ELF file ends inside its header or has an unknown class")
        head = bytearray(data[:_HEADER])
        for offset, size in fields:
            head[offset : offset + size] = bytes(size)
        self._head, self._data, self._place = bytes(head), data, 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        start = self._place
        end = len(self._data) if size < 0 else min(start + size, len(self._data))
        self._place = max(start, end)
        return self._head[start:end] + self._data[max(start, _HEADER) : end]

    def seek(self, place: int, whence: int = 0) -> int:
        self._place = place + (0, self._place, len(self._data))[whence]
        if self._place < 0:
            raise ValueError("a place in front of the file")
        return self._place

    def tell(self) -> int:
        return self._place


def parse(data: mmap.mmap | bytes) -> Elf | None:
    """Read a file; None when it is neither a program nor a library, such as an object file.

    Raises:
        FormatError: It starts like an ELF file and is damaged, or out of all proportion.
    """
    stream = cast("IO[bytes]", _Stream(data))
    with _reading():
        elf = ELFFile(stream)
        kind, count = elf["e_type"], elf["e_phnum"]
        if kind not in {"ET_EXEC", "ET_DYN"}:
            return None
        if not 0 < count <= _MAX_HEADERS:
            raise FormatError(f"the ELF file has {count} program headers")
        segments = [_segment(elf, stream, number) for number in range(count)]
        tags = _dynamic(elf, stream, segments, len(data))
        return _judge(data, kind, segments, tags)


@contextmanager
def _reading() -> Iterator[None]:
    """Refuse damaged files: pyelftools raises more than its own errors for them."""
    try:
        yield
    except (ELFError, ConstructError, ArithmeticError, LookupError, ValueError, TypeError) as error:
        raise FormatError(f"the ELF file is damaged: {error}") from error
    except (AttributeError, AssertionError, struct.error) as error:
        raise FormatError("the ELF file is damaged") from error


def sections(data: bytes) -> frozenset[bytes] | None:
    """Return the names of the sections of an object file; None of another kind of ELF file.

    Raises:
        FormatError: It is not an ELF file, or is damaged.
    """
    stream = cast("IO[bytes]", _Stream(data))
    with _reading():
        elf = ELFFile(stream)
        if elf["e_type"] != "ET_REL":
            return None
        order: Literal["little", "big"] = "little" if elf.little_endian else "big"
        table, count, strings = (
            int.from_bytes(data[offset : offset + size], order)
            for offset, size in _SECTION_FIELDS[data[4]]
        )
        if not 0 < count < _MAX_SECTIONS or strings >= count:
            raise FormatError(f"the ELF file has {count} sections, with names in number {strings}")
        entry = elf.structs.Elf_Shdr
        headers = [
            struct_parse(entry, stream, table + number * entry.sizeof()) for number in range(count)
        ]
        start = headers[strings]["sh_offset"]
        names = data[start : start + min(headers[strings]["sh_size"], _MAX_STRINGS)]
        return frozenset(
            names[at : at + _MAX_NAMED].partition(b"\0")[0]
            for at in (header["sh_name"] for header in headers)
        )


def _segment(elf: ELFFile, stream: IO[bytes], number: int) -> _Segment:
    place = elf["e_phoff"] + number * elf["e_phentsize"]
    header = struct_parse(elf.structs.Elf_Phdr, stream, place)
    return _Segment(
        str(header["p_type"]),
        header["p_flags"],
        header["p_offset"],
        header["p_vaddr"],
        header["p_filesz"],
    )


def _dynamic(
    elf: ELFFile, stream: IO[bytes], segments: list[_Segment], size: int
) -> dict[str, list[int]] | None:
    """Return the values of the dynamic table by tag, None when there is no table."""
    table = next((each for each in segments if each.type == "PT_DYNAMIC"), None)
    if table is None:
        return None
    entry = elf.structs.Elf_Dyn
    tags: dict[str, list[int]] = {}
    start, room = table.offset, min(table.size, size)
    for offset in range(start, start + room, entry.sizeof()):
        found = struct_parse(entry, stream, offset)
        tag = str(found["d_tag"])
        if tag == "DT_NULL":
            return tags
        tags.setdefault(tag, []).append(found["d_val"])
        if len(tags) > _MAX_TAGS or offset > start + _MAX_TAGS * entry.sizeof():
            break
    raise FormatError("the ELF file has a dynamic table without end")


def _judge(
    data: mmap.mmap | bytes, kind: str, segments: list[_Segment], tags: dict[str, list[int]] | None
) -> Elf:
    types = {segment.type for segment in segments}
    stacks = [segment.flags for segment in segments if segment.type == "PT_GNU_STACK"]
    both = _EXECUTABLE | _WRITABLE
    known = tags or {}
    flags, more = (_first(known, name) for name in ("DT_FLAGS", "DT_FLAGS_1"))
    strings = _strings(data, segments, known)
    return Elf(
        program=kind == "ET_EXEC" or "PT_INTERP" in types or bool(more & _DF_1_PIE),
        dynamic=tags is not None,
        pie=kind == "ET_DYN",
        stack_executable=not stacks or any(flag & _EXECUTABLE for flag in stacks),
        writable_code=any(s.type == "PT_LOAD" and s.flags & both == both for s in segments),
        text_relocations="DT_TEXTREL" in known or bool(flags & _DF_TEXTREL),
        relro="PT_GNU_RELRO" in types,
        bind_now="DT_BIND_NOW" in known or bool(flags & _DF_BIND_NOW) or bool(more & _DF_1_NOW),
        canary=b"\0__stack_chk_fail\0" in strings,
        fortified=True if _CHECKED.search(strings) else None if not _checkable(strings) else False,
        search=tuple(part for text in _texts(strings, known, _SEARCH) for part in text.split(":")),
        interpreter=_interpreter(data, segments),
        needed=_texts(strings, known, _NEEDED),
    )


def _interpreter(data: mmap.mmap | bytes, segments: list[_Segment]) -> str:
    for segment in segments:
        if segment.type == "PT_INTERP":
            end = segment.offset + min(segment.size, _MAX_PATH)
            return data[segment.offset : end].partition(b"\0")[0].decode(errors="replace")
    return ""


def _checkable(strings: bytes) -> bool:
    return _CHECKABLE.search(strings) is not None


def _first(tags: dict[str, list[int]], name: str) -> int:
    return tags.get(name, [0])[0]


def _strings(
    data: mmap.mmap | bytes, segments: list[_Segment], tags: dict[str, list[int]]
) -> bytes:
    """Return the dynamic table's strings."""
    address, size = _first(tags, "DT_STRTAB"), _first(tags, "DT_STRSZ")
    for segment in segments:
        start = address - segment.address
        if segment.type == "PT_LOAD" and 0 <= start < segment.size and address:
            offset = segment.offset + start
            return data[offset : offset + min(size, _MAX_STRINGS)]
    return b""


def _texts(strings: bytes, tags: dict[str, list[int]], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the strings that entries of the dynamic table name."""
    starts = [start for name in names for start in tags.get(name, [])[:_MAX_NAMED]]
    raw = (strings[start : start + _MAX_PATH].partition(b"\0")[0] for start in starts)
    return tuple(text.decode(errors="replace") for text in raw)
