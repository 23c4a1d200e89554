# SPDX-License-Identifier: MIT
"""A root file system, opened without being root and checked file by file."""

from __future__ import annotations

import logging
import struct
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs import applications
from bootseal.check.rootfs import files as rootfs_files
from bootseal.check.rootfs import keys as rootfs_keys
from bootseal.check.rootfs import programs as rootfs_programs
from bootseal.check.rootfs.allowlist import Allowlist
from bootseal.check.rootfs.starts import check as starts
from bootseal.check.rootfs.starts import logins
from bootseal.check.rootfs.starts.tree import Tree
from bootseal.disk.filesystems import erofs as fs_erofs
from bootseal.disk.filesystems import ext4, squashfs
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats import erofs
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.device import Partition
    from bootseal.disk.filesystems.node import Node
    from bootseal.disk.image import Disk
    from bootseal.findings.model import Finding

_log: Final = logging.getLogger(__name__)

POLICY_KEY: Final = "usr/lib/systemd/tpm2-pcr-public-key.pem"

_LOGINS: Final = frozenset({
    "disk.root-authorized-keys", "disk.root-default-password", "disk.root-development",
    "disk.root-empty-password", "disk.root-shell",
})  # fmt: skip
_HEAD: Final = 2048
_EXT_MAGIC: Final = 0xEF53
_MAX_KEY: Final = 65536


def check(
    disk: Disk,
    entry: Partition,
    allowlist: Allowlist,
    *,
    production: bool,
    development: bool = False,
    app_keys: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield what is wrong with what a root partition holds.

    Args:
        disk: The disk.
        entry: The partition.
        allowlist: What it may hold.
        production: Whether it is for devices in the field, rather than for development.
        development: Whether the device has development keys anyway.
        app_keys: Fingerprints of the keys that sign its applications; empty when not known.

    Raises:
        ToolError: The program that reads such a file system is not installed.
    """
    try:
        with opened(disk, entry) as nodes:
            yield from rootfs_files.check(nodes, allowlist, entry.name, production=production)
            yield from rootfs_keys.check(nodes, allowlist, entry.name, development=development)
            yield from rootfs_programs.check(nodes, allowlist, entry.name)
            tree = Tree(nodes)
            yield from starts.check(tree, entry.name)
            yield from logins.check(tree, entry.name, production=production)
            yield from applications.check(tree, entry.name, app_keys)
    except FormatError as error:
        yield finding(
            "disk.root-unreadable",
            entry.name,
            f"its files cannot be checked: {error.message}",
            offset=entry.offset,
            expected="erofs, squashfs or ext4",
        )


def offers_login(nodes: Sequence[Node]) -> bool:
    """Tell whether a root file system lets anyone log in, in any of the ways that are known.

    Raises:
        FormatError: A file cannot be read.
    """
    found = chain(
        rootfs_files.check(nodes, Allowlist(), "", production=True),
        logins.check(Tree(nodes), "", production=True),
    )
    return any(each.id in _LOGINS for each in found)


def image_offers_login(image: Path) -> bool:
    """Tell whether an erofs image lets anyone log in.

    Raises:
        FormatError: It is damaged, or a file in it cannot be read.
        ToolError: fsck.erofs is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="bootseal-root-") as scratch:
        return offers_login(fs_erofs.read(image, Path(scratch)))


@contextmanager
def opened(disk: Disk, entry: Partition) -> Iterator[Sequence[Node]]:
    """Give the files of a root partition for as long as the context lasts.

    Raises:
        FormatError: It holds no file system that can be read, or a damaged one.
        ToolError: The program that reads such a file system is not installed.
    """
    if entry.end > disk.size:
        raise FormatError(f"the disk ends at {disk.size:#x}, before the partition does")
    read = kind(disk.read(entry.offset, min(_HEAD, entry.size)))
    with tempfile.TemporaryDirectory(prefix="bootseal-root-") as name:
        scratch = Path(name)
        image = scratch / "image"
        with image.open("wb") as copy:
            copy.truncate(entry.size)
            for start, end in disk.data(entry.offset, entry.end):
                for offset in range(start, end, MIB):
                    copy.seek(offset - entry.offset)
                    copy.write(disk.read(offset, min(MIB, end - offset)))
        _log.info("%s: read by %s", entry.name, read.__module__.rpartition(".")[2])
        yield read(image, scratch)


def kind(head: bytes) -> Callable[[Path, Path], list[Node]]:
    """Return what reads a file system that starts like this.

    Raises:
        FormatError: Nothing does.
    """
    if len(head) == _HEAD:
        if head.startswith(b"hsqs"):
            return squashfs.read
        if struct.unpack_from("<I", head, erofs.SUPERBLOCK_OFFSET)[0] == erofs.MAGIC:
            return fs_erofs.read
        if struct.unpack_from("<H", head, 1024 + 56)[0] == _EXT_MAGIC:
            return ext4.read
    raise FormatError("unrecognised file system: expected erofs, squashfs or ext4")


def policy_key(disk: Disk, entry: Partition) -> bytes | None:
    """Return the public key in a root partition that PCR policies are verified with, as PEM.

    Raises:
        FormatError: The partition cannot be read.
        ToolError: The program that reads such a file system is not installed.
    """
    with opened(disk, entry) as nodes:
        for node in nodes:
            if node.path == POLICY_KEY and node.content is not None:
                return node.content.read(_MAX_KEY)
    return None
