# SPDX-License-Identifier: MIT
"""The files of a squashfs image, turned into one tar archive by sqfs2tar."""

from __future__ import annotations

import stat
import tarfile
from typing import TYPE_CHECKING, Final

from bootseal.disk.fs import Content, Node, bounded, check_size
from bootseal.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: Final = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.LNKTYPE: stat.S_IFREG,
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
    bounded("sqfs2tar", ["--no-skip", image], cwd=scratch, output=archive)
    contents: dict[str, Content] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            nodes = [_node(member, archive, contents) for member in tar]
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise FormatError(f"sqfs2tar wrote no archive: {error}") from error
    check_size(nodes)
    return nodes


def _node(member: tarfile.TarInfo, archive: Path, contents: dict[str, Content]) -> Node:
    path = member.name.removeprefix("./").rstrip("/")
    kind = _KINDS.get(member.type, 0)
    content = None
    if member.islnk():
        # The second name of a file: its content is that of the first.
        content = contents.get(member.linkname.removeprefix("./"))
    elif kind == stat.S_IFREG:
        content = Content(path=archive, offset=member.offset_data, size=member.size)
        contents[path] = content
    return Node(
        path=path,
        mode=kind | stat.S_IMODE(member.mode),
        uid=member.uid,
        gid=member.gid,
        size=content.size if content else 0,
        target=member.linkname if member.issym() else "",
        content=content,
    )
