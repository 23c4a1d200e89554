# SPDX-License-Identifier: MIT
"""LUKS2 headers: both copies with their checksums, and the metadata in them.

Read strictly: what cryptsetup repairs on opening, such as one damaged copy, is an error here,
since nothing may have touched a header that is about to ship.

Spec: LUKS2 On-Disk Format Specification 1.1.1; all binary numbers are big-endian.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import FormatError

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer

MAGIC: Final = b"LUKS\xba\xbe"
SECOND_MAGIC: Final = b"SKUL\xba\xbe"
SIZES: Final = tuple(0x4000 << shift for shift in range(9))
"""The sizes a copy of the header may have, binary part and metadata together."""

_BINARY: Final = struct.Struct(">6sHQQ48s32s64s40s48sQ184s64s3584s")
_CHECKSUM: Final = slice(448, 512)
_HASHES: Final = {"sha256", "sha512", "sha1"}
_MAX_SLOTS: Final = 32
_SECTIONS: Final = frozenset({"keyslots", "tokens", "segments", "digests", "config"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyslot:
    """A key slot: `area` is the range of bytes of its key material, `key_size` is in bytes."""

    number: int
    type: str
    key_size: int
    kdf: str
    area: range


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A range of data.

    Attributes:
        type: `crypt` or `linear`.
        offset: Its first byte.
        encryption: Cipher, for example `aes-xts-plain64`; empty for a linear one.
        integrity: Type of the integrity protection, empty for none.
        sector_size: Bytes.
    """

    type: str
    offset: int
    encryption: str
    integrity: str
    sector_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token: what opens some key slots without a passphrase; `fields` is its whole JSON."""

    number: int
    type: str
    keyslots: tuple[int, ...]
    fields: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Both copies of a header, which agree.

    Attributes:
        size: Bytes of one copy.
        sequence: Counts the changes.
        uuid: As text.
        label: As text.
        subsystem: As text.
        checksum: Its algorithm.
        metadata: The JSON document.
        keyslots: Its key slots.
        segments: Its data.
        tokens: Its tokens.
        bound: Key slots that the digests tie to data segments, as often as they name them.
        requirements: Features a reader must know.
    """

    size: int
    sequence: int
    uuid: str
    label: str
    subsystem: str
    checksum: str
    metadata: dict[str, object]
    keyslots: tuple[Keyslot, ...]
    segments: tuple[Segment, ...]
    tokens: tuple[Token, ...]
    bound: tuple[int, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Copy:
    size: int
    sequence: int
    label: bytes
    uuid: bytes
    subsystem: bytes
    algorithm: bytes
    text: bytes


def parse(data: Buffer) -> Header:
    """Read a header from the start of a partition.

    Args:
        data: At least both copies: twice the header's size, 8 MiB in the worst case.

    Raises:
        FormatError: A copy is damaged, the copies differ, or the metadata contradict themselves.
    """
    view = memoryview(data)
    first = _copy(view, 0, MAGIC)
    second = _copy(view, first.size, SECOND_MAGIC)
    if first != second:
        raise FormatError(
            "the two copies of the LUKS2 header differ: "
            f"sequence numbers {first.sequence} and {second.sequence}"
        )
    return _header(first)


def _copy(view: memoryview, offset: int, magic: bytes) -> _Copy:
    """Read one copy and check all of its binary part."""
    what = f"LUKS2 header at {offset}"
    raw = view[offset : offset + _BINARY.size]
    if len(raw) < _BINARY.size:
        raise FormatError(f"{what} ends after {len(raw)} bytes")
    fields = _BINARY.unpack(raw)
    if fields[0] != magic or fields[1] != 2:  # noqa: PLR2004 - LUKS2
        raise FormatError(f"{what} has magic {fields[0]!r}, version {fields[1]}: not {magic!r}, 2")
    size, sequence, label, algorithm = fields[2:6]
    uuid, subsystem, here = fields[7:10]
    if size not in SIZES or here != offset or offset + size > len(view):
        raise FormatError(f"{what} says it is {size} bytes at {here} of {len(view)}")
    if fields[10].strip(b"\0") or fields[12].strip(b"\0"):
        raise FormatError(f"{what} has something in its padding")
    _check_digest(view[offset : offset + size], _text(algorithm, what), fields[11], what)
    text, _, rest = bytes(view[offset + _BINARY.size : offset + size]).partition(b"\0")
    if rest.strip(b"\0"):
        raise FormatError(f"{what} has something behind its metadata")
    return _Copy(size, sequence, label, uuid, subsystem, algorithm, text)


def _check_digest(raw: memoryview, algorithm: str, expected: bytes, what: str) -> None:
    if algorithm not in _HASHES:
        raise FormatError(f"{what} has a checksum of type {algorithm[:32]!r}")
    found = hashlib.new(algorithm, raw[: _CHECKSUM.start], usedforsecurity=False)
    found.update(bytes(64))
    found.update(raw[_CHECKSUM.stop :])
    if found.digest().ljust(64, b"\0") != expected:
        raise FormatError(f"{what} does not match its checksum")


def _header(copy: _Copy) -> Header:
    metadata = documents.parse(copy.text, "the LUKS2 metadata")
    if metadata.keys() != _SECTIONS:
        raise FormatError(f"LUKS2 metadata have the parts {', '.join(sorted(metadata))[:200]}")
    parts = {name: _object(metadata[name], name) for name in _SECTIONS}
    slots = tuple(_keyslot(*each) for each in _numbered(parts["keyslots"], "keyslot"))
    _check_areas(slots, parts["config"], copy)
    numbers = {slot.number for slot in slots}
    segments = _numbered(parts["segments"], "segment")
    bound: list[int] = []
    for number, digest in _numbered(parts["digests"], "digest"):
        bound += _references(digest, "keyslots", numbers, f"digest {number}")
        _references(digest, "segments", {n for n, _ in segments}, f"digest {number}")
    tokens = []
    for number, fields in _numbered(parts["tokens"], "token"):
        used = _references(fields, "keyslots", numbers, f"token {number}")
        kind = _string(fields, "type", f"token {number}")
        tokens.append(Token(number=number, type=kind, keyslots=used, fields=fields))
    needed = parts["config"].get("requirements", {})
    mandatory = _object(needed, "requirements").get("mandatory", [])
    return Header(
        size=copy.size,
        sequence=copy.sequence,
        uuid=_text(copy.uuid, "the LUKS2 UUID"),
        label=_text(copy.label, "the LUKS2 label"),
        subsystem=_text(copy.subsystem, "the LUKS2 subsystem"),
        checksum=_text(copy.algorithm, "the LUKS2 checksum algorithm"),
        metadata=metadata,
        keyslots=slots,
        segments=tuple(_segment(number, fields) for number, fields in segments),
        tokens=tuple(tokens),
        bound=tuple(bound),
        requirements=tuple(str(name) for name in _list(mandatory, "requirements")),
    )


def _keyslot(number: int, fields: dict[str, object]) -> Keyslot:
    where = f"keyslot {number}"
    area = _object(fields.get("area"), f"{where} area")
    kdf = _object(fields.get("kdf", {"type": ""}), f"{where} kdf")
    start, size = _number(area, "offset", where), _number(area, "size", where)
    key_size = fields.get("key_size")
    if type(key_size) is not int or not 0 < key_size <= 512:  # noqa: PLR2004 - cryptsetup's bound
        raise FormatError(f"{where} has key size {str(key_size)[:40]}")
    return Keyslot(
        number=number,
        type=_string(fields, "type", where),
        key_size=key_size,
        kdf=_string(kdf, "type", where),
        area=range(start, start + size),
    )


def _check_areas(slots: tuple[Keyslot, ...], config: dict[str, object], copy: _Copy) -> None:
    start, room = 2 * copy.size, _number(config, "keyslots_size", "config")
    if _number(config, "json_size", "config") != copy.size - _BINARY.size:
        raise FormatError("LUKS2 config has another json_size than the header")
    position = start
    for slot in sorted(slots, key=lambda slot: slot.area.start):
        if slot.area.start < position or slot.area.stop > start + room:
            raise FormatError(
                f"keyslot {slot.number} is at {slot.area.start} to {slot.area.stop}: "
                f"expected a place of its own within {start} to {start + room}"
            )
        position = slot.area.stop


def _segment(number: int, fields: dict[str, object]) -> Segment:
    where = f"segment {number}"
    kind = _string(fields, "type", where)
    size = fields.get("size")
    if size != "dynamic":
        _number(fields, "size", where)
    encrypted = kind == "crypt"
    integrity = _object(fields.get("integrity", {"type": ""}), f"{where} integrity")
    sector = fields.get("sector_size", 512)
    if type(sector) is not int or sector not in {512, 1024, 2048, 4096}:
        raise FormatError(f"{where} has sector size {str(sector)[:40]}")
    return Segment(
        type=kind,
        offset=_number(fields, "offset", where),
        encryption=_string(fields, "encryption", where) if encrypted else "",
        integrity=_string(integrity, "type", where),
        sector_size=sector,
    )


def _numbered(section: dict[str, object], what: str) -> list[tuple[int, dict[str, object]]]:
    """Return the objects of a section by number."""
    found = []
    for name, value in section.items():
        if not name.isascii() or not name.isdigit() or str(int(name[:3])) != name:
            raise FormatError(f"LUKS2 {what} is called {name[:40]!r}: expected a number")
        if int(name) >= _MAX_SLOTS:
            raise FormatError(f"LUKS2 {what} {name}: expected less than {_MAX_SLOTS}")
        found.append((int(name), _object(value, f"{what} {name}")))
    return sorted(found, key=lambda each: each[0])


def _references(
    fields: dict[str, object], key: str, known: set[int], where: str
) -> tuple[int, ...]:
    names = _list(fields.get(key), f"{where} {key}")
    wanted = {str(number): number for number in known}
    if any(not isinstance(name, str) or name not in wanted for name in names):
        raise FormatError(f"{where} names {key} {str(names)[:80]}, which are not all there")
    return tuple(wanted[str(name)] for name in names)


def _object(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise FormatError(f"LUKS2 {where} is {type(value).__name__}: expected an object")
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise FormatError(f"LUKS2 {where} is {type(value).__name__}: expected a list")
    return value


def _string(fields: dict[str, object], key: str, where: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise FormatError(f"LUKS2 {where} has {key} {str(value)[:40]}: expected text")
    return value


def _number(fields: dict[str, object], key: str, where: str) -> int:
    """Read a 64-bit number, which LUKS2 writes as text."""
    value = fields.get(key)
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > 20:  # noqa: PLR2004 - digits of 2^64
        raise FormatError(f"LUKS2 {where} has {key} {str(value)[:40]}: expected digits")
    return int(value)


def _text(raw: bytes, what: str) -> str:
    text, _, rest = raw.partition(b"\0")
    if rest.strip(b"\0"):
        raise FormatError(f"{what} has something behind its text")
    return text.decode(errors="replace")
