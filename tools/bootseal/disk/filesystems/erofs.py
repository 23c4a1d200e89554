# SPDX-License-Identifier: MIT
"""The files of an EROFS image: names and modes from its metadata, contents by fsck.erofs."""

from __future__ import annotations

import stat
from pathlib import Path

from bootseal.disk.filesystems.node import Content, Node, bounded, check_size, text
from bootseal.files import mapped
from bootseal.formats import capability, erofs


def read(image: Path, scratch: Path) -> list[Node]:
    """List an image and extract its files into a new directory of `scratch`.

    The names are checked before any program sees them, so none leads out of that directory.

    Raises:
        FormatError: The image is damaged, or its names are not names of files.
        ToolError: fsck.erofs is not installed.
    """
    target = scratch / "files"
    with mapped(image) as data:
        found = erofs.Image(data)
        nodes = [_node(found, entry, target) for entry in found.walk() if entry.path]
    check_size(nodes)
    bounded(
        "fsck.erofs",
        [f"--extract={target}", "--no-preserve", image],
        cwd=scratch,
        output=scratch / "fsck.log",
    )
    return nodes


def _node(image: erofs.Image, entry: erofs.Entry, target: Path) -> Node:
    path, inode = text(entry.path), entry.inode
    content, capabilities = None, b""
    if stat.S_ISREG(inode.mode):
        content = Content(path=target / path, offset=0, size=inode.size)
        capabilities = image.attributes(inode).get(capability.ATTRIBUTE.encode(), b"")
    return Node(
        path=path,
        mode=inode.mode,
        uid=inode.uid,
        gid=inode.gid,
        size=inode.size,
        target=text(entry.target),
        content=content,
        capabilities=capabilities,
    )
