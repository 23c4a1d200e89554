# SPDX-License-Identifier: MIT
"""The names, modes and owners in an EROFS image: its metadata, which is never compressed.

The contents of files are left to fsck.erofs. Names are checked here, before any program writes
them: a name with a slash, `..`, or one that occurs twice in a directory could lead an extraction
out of its directory.

Spec: Linux fs/erofs/erofs_fs.h (v6.12); all numbers are little-endian.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer

SUPERBLOCK_OFFSET: Final = 1024
MAGIC: Final = 0xE0F5E1E2
MAX_ENTRIES: Final = 1 << 20
"""More files than any device's root file system has."""
MAX_DEPTH: Final = 256
MAX_ATTRIBUTES: Final = 1 << 21

_SUPERBLOCK_SIZE: Final = 128
_SLOT: Final = 32
_DIRENT: Final = struct.Struct("<QHBB")
_COMPACT: Final = struct.Struct("<HHHHIIIIHHI")
_EXTENDED: Final = struct.Struct("<HHHHQIIIIQII16s")
# In front of an inode's attributes: 4 bytes for lookups, how many it shares, 7 reserved ones.
_ATTRIBUTES_HEAD: Final = 12
_SHARED_COUNT: Final = 4
_ATTRIBUTE: Final = struct.Struct("<BBH")
_PREFIXES: Final = {
    1: b"user.", 2: b"system.posix_acl_access", 3: b"system.posix_acl_default",
    4: b"trusted.", 6: b"security.",
}  # fmt: skip
_FLAT_PLAIN: Final = 0
_FLAT_INLINE: Final = 2
_MAX_NAME: Final = 255
_MAX_LINK: Final = 4096
_MAX_DIRECTORY: Final = 64 << 20
# LZ4 0-padding, big clusters, chunked files, further devices, tail packing, fragments: nothing
# in them moves names or inodes. What came later does, or is not known to erofs-utils 1.5.
_KNOWN_FEATURES: Final = 0x3F


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """The metadata in one inode.

    Attributes:
        mode: Type and permissions as in `stat`.
        uid: Owner.
        gid: Group.
        size: Bytes.
        layout: Number of its data layout.
        data: Block address, device number or chunk format, as the layout wants.
        tail: Offset of the first byte behind the inode and its attributes.
        attributes: Bytes of the extended attributes in front of the tail.
    """

    mode: int
    uid: int
    gid: int
    size: int
    layout: int
    data: int
    tail: int
    attributes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in the tree.

    Attributes:
        path: Bytes, without leading slash, empty for the root directory.
        inode: Its inode.
        target: What a symbolic link points to; empty for anything else.
    """

    path: bytes
    inode: Inode
    target: bytes


class Image:
    """An EROFS image.

    Args:
        data: The whole image; it is not copied.

    Raises:
        FormatError: The superblock is not one, or asks for features that are not known.
    """

    def __init__(self, data: Buffer) -> None:
        self._data = memoryview(data)
        block = self._read(SUPERBLOCK_OFFSET, _SUPERBLOCK_SIZE, "the superblock")
        (magic,) = struct.unpack_from("<I", block)
        if magic != MAGIC:
            raise FormatError(f"EROFS superblock has magic 0x{magic:08x}: expected 0x{MAGIC:08x}")
        bits, self.root = block[12], struct.unpack_from("<H", block, 14)[0]
        self._meta = struct.unpack_from("<I", block, 40)[0]
        self._shared = struct.unpack_from("<I", block, 44)[0]
        (features,) = struct.unpack_from("<I", block, 80)
        if not 9 <= bits <= 16 or block[90]:  # noqa: PLR2004 - 512 bytes to 64 KiB
            raise FormatError(f"EROFS block size is 2 to the {bits}, directories' {block[90]} more")
        if features & ~_KNOWN_FEATURES:
            raise FormatError(
                f"EROFS image wants features 0x{features:x}: known are 0x{_KNOWN_FEATURES:x}"
            )
        self.block_size = 1 << bits
        self._attributes = 0

    def walk(self) -> Iterator[Entry]:
        """Yield the root directory and everything below it, directories before their content.

        Raises:
            FormatError: A directory is not well formed, holds a name no file can have, or is
                in two places.
        """
        root = self.inode(self.root)
        if not stat.S_ISDIR(root.mode):
            raise FormatError(f"EROFS root inode has mode 0{root.mode:o}: expected a directory")
        yield Entry(path=b"", inode=root, target=b"")
        # Each level: a directory's path and the names it has still to give.
        trail = [(b"", self._names(root, b""))]
        visited = {self.root}
        count = 1
        while trail:
            parent, names = trail[-1]
            found = next(names, None)
            if found is None:
                trail.pop()
                continue
            number, name = found
            count += 1
            if count > MAX_ENTRIES:
                raise FormatError(f"EROFS image has more than {MAX_ENTRIES} entries")
            path = parent + b"/" + name if parent else name
            inode = self.inode(number)
            target = b""
            if stat.S_ISLNK(inode.mode):
                target = self._content(inode, _MAX_LINK, path)
            yield Entry(path=path, inode=inode, target=target)
            if stat.S_ISDIR(inode.mode):
                if len(trail) >= MAX_DEPTH or number in visited:
                    raise FormatError(f"EROFS directory {path[:80]!r} occurs twice or is too deep")
                visited.add(number)
                trail.append((path, self._names(inode, path)))

    def inode(self, number: int) -> Inode:
        """Read an inode.

        Raises:
            FormatError: It is outside of the image, or its version is not known.
        """
        start = self._meta * self.block_size + number * _SLOT
        what = f"inode {number}"
        (layout,) = struct.unpack("<H", self._read(start, 2, what))
        extended = bool(layout & 1)
        kind = _EXTENDED if extended else _COMPACT
        fields = kind.unpack(self._read(start, kind.size, what))
        mode, size, data = fields[2], fields[4], fields[6 if not extended else 5]
        uid, gid = (fields[7], fields[8]) if extended else (fields[8], fields[9])
        attributes = fields[1]
        room = 12 + (attributes - 1) * 4 if attributes else 0
        return Inode(
            mode=mode,
            uid=uid,
            gid=gid,
            size=size,
            layout=layout >> 1 & 7,
            data=data,
            tail=start + kind.size + room,
            attributes=room,
        )

    def attributes(self, inode: Inode) -> dict[bytes, bytes]:
        """Return the extended attributes of an inode by name, such as `security.capability`.

        Raises:
            FormatError: They are not well formed.
        """
        if not inode.attributes:
            return {}
        what = f"the attributes at {inode.tail - inode.attributes}"
        data = self._read(inode.tail - inode.attributes, inode.attributes, what)
        shared = data[_SHARED_COUNT]
        start = _ATTRIBUTES_HEAD + 4 * shared
        if start > len(data):
            raise FormatError(f"EROFS {what} share {shared}: there is no room for so many")
        found: dict[bytes, bytes] = {}
        # Of two with one name the kernel takes the first, and the inode's before shared ones.
        while start < len(data):
            name, value, size = self._attribute(data[start:], what)
            found.setdefault(name, value)
            start += size
        for (number,) in struct.iter_unpack("<I", data[_ATTRIBUTES_HEAD:][: 4 * shared]):
            place = self._shared * self.block_size + 4 * number
            head = self._read(place, _ATTRIBUTE.size, what)
            rest = self._read(place, _ATTRIBUTE.size + sum(_lengths(head)), what)
            name, value, _ = self._attribute(rest, what)
            found.setdefault(name, value)
        return found

    def _attribute(self, data: memoryview, what: str) -> tuple[bytes, bytes, int]:
        """Return name, value and size with padding of the attribute that data starts with."""
        self._attributes += 1
        if self._attributes > MAX_ATTRIBUTES:
            raise FormatError(f"EROFS image has more than {MAX_ATTRIBUTES} attributes")
        if len(data) < _ATTRIBUTE.size:
            raise FormatError(f"EROFS {what} end inside an attribute")
        length, size = _lengths(data)
        end = _ATTRIBUTE.size + length + size
        if end > len(data):
            raise FormatError(f"EROFS {what} end inside an attribute")
        prefix = _PREFIXES.get(data[1], b"%d." % data[1])
        name = prefix + bytes(data[_ATTRIBUTE.size : _ATTRIBUTE.size + length])
        return name, bytes(data[end - size : end]), -(-end // 4) * 4

    def _names(self, inode: Inode, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield inode number and name of everything in a directory but `.` and `..`."""
        content = self._content(inode, _MAX_DIRECTORY, path)
        seen: set[bytes] = set()
        for start in range(0, len(content), self.block_size):
            for number, name in _dirents(content[start : start + self.block_size], path):
                if name in seen:
                    raise FormatError(f"EROFS directory {path[:80]!r} holds {name!r} twice")
                seen.add(name)
                if name not in {b".", b".."}:
                    yield number, name

    def _content(self, inode: Inode, limit: int, path: bytes) -> bytes:
        """Return the content of a directory or link."""
        what = f"the content of {path[:80]!r}"
        if inode.size > limit:
            raise FormatError(f"{what} has {inode.size} bytes: expected at most {limit}")
        if inode.layout not in {_FLAT_PLAIN, _FLAT_INLINE}:
            raise FormatError(f"{what} has data layout {inode.layout}: expected a flat one")
        whole = inode.size
        if inode.layout == _FLAT_INLINE and inode.size:
            whole = (inode.size - 1) // self.block_size * self.block_size
        blocks = self._read(inode.data * self.block_size, whole, what) if whole else b""
        rest = self._read(inode.tail, inode.size - whole, what) if inode.size > whole else b""
        return bytes(blocks) + bytes(rest)

    def _read(self, start: int, size: int, what: str) -> memoryview:
        if start + size > len(self._data):
            raise FormatError(
                f"EROFS {what} needs {size} bytes at {start}: the image ends at {len(self._data)}"
            )
        return self._data[start : start + size]


def _lengths(head: memoryview) -> tuple[int, int]:
    length, _, size = _ATTRIBUTE.unpack_from(head)
    return length, size


def _dirents(block: bytes, path: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield inode number and name of each entry in one block of a directory."""
    where = f"EROFS directory {path[:80]!r}"
    if len(block) < _DIRENT.size:
        raise FormatError(f"{where} ends inside an entry")
    first = _DIRENT.unpack_from(block)[1]
    if first % _DIRENT.size or not _DIRENT.size <= first <= len(block):
        raise FormatError(f"{where}: its names start at {first}")
    entries = [_DIRENT.unpack_from(block, at) for at in range(0, first, _DIRENT.size)]
    ends = [entry[1] for entry in entries[1:]] + [len(block)]
    position = first
    for (number, start, _, _), end in zip(entries, ends, strict=True):
        if start != position or not start < end <= len(block):
            raise FormatError(f"{where}: a name goes from {start} to {end}")
        position = end
        name = block[start:end]
        if end == len(block):
            name = name.partition(b"\0")[0]
        if not name or len(name) > _MAX_NAME or b"/" in name or b"\0" in name:
            raise FormatError(f"{where} holds {name[:80]!r}, which is not a file name")
        yield number, name
