# SPDX-License-Identifier: MIT
"""A directory or a tar layer, copied to where an application is assembled.

What is copied is what is checked and packed, whatever happens to the source meanwhile. Names come
from others: nothing is written through a link.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import tarfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from bootseal.disk.filesystems.node import MAX_CONTENT, MAX_ENTRIES, Content, Node
from bootseal.errors import FormatError, UsageError
from bootseal.files import opened
from bootseal.formats.app import release
from bootseal.formats.kinds.kind import TAR_LAYER, Kind
from bootseal.formats.kinds.recognise import HEAD, check
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.formats.app.release import Release

ENTRY: Final = "usr/lib/bootseal/entry"
"""The link that leads to the program a device starts."""
OS_RELEASE: Final = "usr/lib/os-release"
OTHER_OS_RELEASE: Final = "etc/os-release"
MOUNT_POINTS: Final = ("dev", "proc", "run", "sys", "tmp", "var/tmp")
"""Directories over which systemd mounts what an application sees of the device."""

_MAX_TEXT: Final = 64 * 1024
_DIRECTORY: Final = 0o755
_PADDING: Final = MIB
_WHITEOUT: Final = ".wh."
_DAMAGE: Final = (tarfile.TarError, zlib.error, ValueError, OverflowError, EOFError)
"""What reading a damaged archive raises; with zstd, that library's own error as well."""
_READABLE: Final = {stat.S_IFDIR: 0o500, stat.S_IFREG: 0o400}


def fill(source: Path, target: Path) -> None:
    """Copy a directory, or unpack a tar archive, plain or compressed with gzip or zstd.

    Args:
        source: The directory or archive.
        target: An empty directory.

    Raises:
        UsageError: There is no such source.
        FormatError: It holds what an application cannot, or is damaged or too large.
    """
    if source.is_dir():
        _Writer(target, str(source)).copy(source)
    elif source.exists():
        _unpack(source, target)
    else:
        raise UsageError(f"there is no directory or archive {source}")


def complete(target: Path, said: Release, entry: str) -> None:
    """Add what systemd and the device need: mount points, os-release, the link to the program.

    Args:
        target: What `fill` filled.
        said: Name and version.
        entry: Absolute path in the application of the program to start.

    Raises:
        FormatError: Something else is in one of these places.
    """
    writer = _Writer(target, "the application")
    for name in MOUNT_POINTS:
        writer.directory(name)
    other = target / OTHER_OS_RELEASE
    if other.exists() and not other.is_symlink():
        raise FormatError(
            f"/{OTHER_OS_RELEASE} is a file: expected none, or a link to ../{OS_RELEASE}",
            hint=f"move it to {OS_RELEASE}",
        )
    old = b""
    place = writer.place(OS_RELEASE)
    if place.is_file() and not place.is_symlink():
        with opened(place) as file:
            old = file.read(_MAX_TEXT)
        place.unlink()
    writer.refuse_existing(OS_RELEASE)
    place.write_bytes(release.emit(old, said))
    place.chmod(0o644)
    link = writer.place(ENTRY)
    if link.is_symlink():
        link.unlink()
    writer.refuse_existing(ENTRY)
    link.symlink_to(entry)


def nodes(target: Path) -> list[Node]:
    """Return the assembled files as a root file system owned by root."""
    return [_node(target, path) for path in sorted(target.rglob("*"))]


def _node(target: Path, path: Path) -> Node:
    found = path.lstat()
    regular = stat.S_ISREG(found.st_mode)
    return Node(
        path=str(path.relative_to(target)),
        mode=found.st_mode,
        uid=0,
        gid=0,
        size=found.st_size if regular else 0,
        target=str(path.readlink()) if path.is_symlink() else "",
        content=Content(path=path, offset=0, size=found.st_size) if regular else None,
    )


class _Writer:
    """Writes files below a directory, each once, and counts them."""

    def __init__(self, root: Path, what: str) -> None:
        self._root = root
        self._what = what
        self._modes: list[tuple[Path, int]] = []
        self._entries = 0
        self._size = 0

    def place(self, name: str) -> Path:
        """Return where a file goes, below directories that are made where they are missing."""
        parent, _, last = name.rpartition("/")
        return self.directory(parent) / last if parent else self._root / last

    def directory(self, name: str) -> Path:
        """Return a directory, created if missing; no link leads out of it."""
        path = self._root
        for part in name.split("/") if name else ():
            path /= part
            try:
                path.mkdir(_DIRECTORY)
            except FileExistsError:
                if not stat.S_ISDIR(path.lstat().st_mode):
                    raise FormatError(
                        f"{self._what}: /{path.relative_to(self._root)} is not a directory, so "
                        f"/{name} cannot be in it"
                    ) from None
            else:
                path.chmod(_DIRECTORY)
        return path

    def refuse_existing(self, name: str) -> None:
        """Refuse a second file in one place."""
        if os.path.lexists(self._root / name):
            raise FormatError(f"{self._what}: /{name} already exists")

    def mode(self, name: str, path: Path, kind: int, mode: int) -> None:
        """Give a file its permissions; those of directories come when all is written."""
        if _READABLE[kind] & ~mode:
            raise FormatError(
                f"{self._what}: /{name} has mode {mode:04o}: its owner may not read it",
                hint="chmod u+rX",
            )
        if kind == stat.S_IFDIR:
            self._modes.append((path, mode))
        else:
            path.chmod(mode)

    def finish(self) -> None:
        """Give the directories their permissions."""
        for path, mode in reversed(self._modes):
            path.chmod(mode)

    def count(self, size: int) -> None:
        """Refuse too many files or bytes."""
        self._entries += 1
        self._size += size
        if self._entries > MAX_ENTRIES or self._size > MAX_CONTENT:
            raise FormatError(
                f"{self._what} has more than {MAX_ENTRIES} files or {MAX_CONTENT} bytes"
            )

    def copy(self, source: Path) -> None:
        """Copy a directory; hard links within it stay such."""
        links: dict[tuple[int, int], Path] = {}
        for entry in _walk(source):
            name = str(entry.relative_to(source))
            found = entry.lstat()
            target, kind = self._root / name, stat.S_IFMT(found.st_mode)
            self.count(found.st_size if kind == stat.S_IFREG else 0)
            if kind == stat.S_IFDIR:
                self.mode(name, self.directory(name), kind, stat.S_IMODE(found.st_mode))
            elif kind == stat.S_IFLNK:
                target.symlink_to(entry.readlink())
            elif kind != stat.S_IFREG:
                raise _not_a_file(self._what, name)
            elif (first := links.setdefault((found.st_dev, found.st_ino), target)) != target:
                target.hardlink_to(first)
            else:
                _copy_file(entry, target)
                self.mode(name, target, kind, stat.S_IMODE(found.st_mode))
        self.finish()

    def member(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Write a file of an archive."""
        name = self._name(member.name)
        if not name:
            return
        self.count(member.size)
        if member.isdir():
            self.mode(name, self.directory(name), stat.S_IFDIR, stat.S_IMODE(member.mode))
            return
        target = self.place(name)
        self.refuse_existing(name)
        if member.issym():
            target.symlink_to(member.linkname)
        elif member.islnk():
            first = self.place(self._name(member.linkname))
            if first.is_symlink() or not first.is_file():
                raise FormatError(
                    f"{self._what}: /{name} is a link to something that is not a file in it"
                )
            target.hardlink_to(first)
        elif member.isreg() and (content := tar.extractfile(member)) is not None:
            with content, target.open("xb") as file:
                shutil.copyfileobj(content, file)
            self.mode(name, target, stat.S_IFREG, stat.S_IMODE(member.mode))
        else:
            raise _not_a_file(self._what, name)

    def _name(self, raw: str) -> str:
        parts = [part for part in raw.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise FormatError(f"{self._what}: {raw[:80]!r} leads out of the archive")
        if any(part.startswith(_WHITEOUT) for part in parts):
            raise FormatError(
                f"{self._what}: {raw[:80]!r} removes files of another layer",
                hint="give a directory or an archive with all of the layers",
            )
        return "/".join(parts)


def _walk(directory: Path) -> Iterator[Path]:
    """Yield everything in a directory, by name, directories before their content."""
    with os.scandir(directory) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        yield directory / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(directory / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(source, flags), "rb") as old, target.open("xb") as new:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(old.fileno()).st_mode):
            raise FormatError(f"{source} changed its type while it was copied")
        shutil.copyfileobj(old, new)


def _not_a_file(what: str, name: str) -> FormatError:
    return FormatError(
        f"{what}: /{name} is a device, a FIFO or a socket: an application holds files, directories "
        "and links"
    )


def _unpack(archive: Path, target: Path) -> None:
    writer = _Writer(target, str(archive))
    with opened(archive) as file, ExitStack() as stack:
        kind = check(file.read(HEAD), TAR_LAYER, str(archive))
        file.seek(0)
        stream: IO[bytes] = file
        damage: tuple[type[Exception], ...] = _DAMAGE
        if kind is Kind.GZIP:
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file))
        elif kind is Kind.ZSTD:
            import zstandard  # noqa: PLC0415 - only such archives need it

            unpacker = zstandard.ZstdDecompressor()
            stream = stack.enter_context(unpacker.stream_reader(file, read_across_frames=True))
            damage = (*_DAMAGE, zstandard.ZstdError)
        try:
            with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape") as tar:
                while (member := tar.next()) is not None:
                    # What was read is not kept.
                    vars(tar)["members"].clear()
                    writer.member(tar, member)
            # Up to its end, where the checksum is of what was compressed.
            if stream.read(_PADDING).strip(b"\0") or stream.read(1):
                raise FormatError(f"{archive}: bytes follow the end of the archive")
        except damage as error:
            raise FormatError(f"{archive} is damaged: {error}") from error
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM}:
                raise
            raise FormatError(f"{archive} is damaged: {error.strerror or error}") from error
    writer.finish()
