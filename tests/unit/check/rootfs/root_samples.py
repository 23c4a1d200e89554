# SPDX-License-Identifier: MIT
"""Root file systems of a few files, as what reads a file system would list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bootseal.check.rootfs.starts.tree import Tree
from bootseal.disk.filesystems.node import Content, Node

if TYPE_CHECKING:
    from pathlib import Path

Files: TypeAlias = dict[str, str | bytes]
"""Content of a file by path; a text that begins with `->` is the target of a link."""


def tree(directory: Path, files: Files) -> Tree:
    """Return a root with these files, all of them root's and executable.

    Args:
        directory: Where their content is kept.
        files: What is in it.
    """
    nodes = []
    for number, (path, content) in enumerate(files.items()):
        if isinstance(content, str) and content.startswith("->"):
            target = content.removeprefix("->")
            nodes.append(Node(path=path, mode=0o120777, uid=0, gid=0, size=1, target=target))
            continue
        raw = content.encode() if isinstance(content, str) else content
        place = directory / str(number)
        place.write_bytes(raw)
        size, inside = len(raw), Content(path=place, offset=0, size=len(raw))
        nodes.append(Node(path=path, mode=0o100755, uid=0, gid=0, size=size, content=inside))
    return Tree(nodes)
