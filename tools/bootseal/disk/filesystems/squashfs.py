# SPDX-License-Identifier: MIT
"""The files of a squashfs image, turned into one tar archive by sqfs2tar."""

from __future__ import annotations

import stat
import tarfile
from pathlib import Path
from typing import Final

from bootseal.disk.filesystems.node import Content, Node, bounded, check_size
from bootseal.errors import FormatError
from bootseal.formats import capability

_KINDS: Final = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


def read(image: Path, scratch: Path) -> list[Node]:
    """List an image; no name in it becomes a name here, as contents stay inside the archive.

    Raises:
        FormatError: The image is damaged.
        ToolError: sqfs2tar is not installed.
    """
    archive = scratch / "files.tar"
    # It takes two inodes of one number for one file, which the kernel does not.
    bounded("sqfs2tar", ["--no-skip", "--no-hard-links", image], cwd=scratch, output=archive)
    try:
        with tarfile.open(archive, "r:", encoding="utf-8", errors="surrogateescape") as tar:
            nodes = [_node(member, archive) for member in tar]
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise FormatError(f"sqfs2tar wrote no archive: {error}") from error
    check_size(nodes)
    names: set[str] = set()
    for node in nodes:
        if node.path in names:
            raise FormatError(f"the file system has two entries {node.path[:80]!r}")
        names.add(node.path)
    return nodes


def _node(member: tarfile.TarInfo, archive: Path) -> Node:
    path = member.name.removeprefix("./").rstrip("/")
    kind = _KINDS.get(member.type, 0)
    content, capabilities = None, b""
    if kind == stat.S_IFREG:
        content = Content(path=archive, offset=member.offset_data, size=member.size)
        value = member.pax_headers.get(f"SCHILY.xattr.{capability.ATTRIBUTE}", "")
        capabilities = value.encode(errors="surrogateescape")
    return Node(
        path=path,
        mode=kind | stat.S_IMODE(member.mode),
        uid=member.uid,
        gid=member.gid,
        size=content.size if content else 0,
        target=member.linkname if member.issym() else "",
        content=content,
        capabilities=capabilities,
    )
