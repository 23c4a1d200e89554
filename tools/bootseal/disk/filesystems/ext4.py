# SPDX-License-Identifier: MIT
"""The files of an ext2, ext3 or ext4 image, read by debugfs one inode at a time.

debugfs could extract a whole tree by itself, but writes through links and names it finds in the
image. Here it lists directories by number and writes each file to a name made from its number.
"""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Final

from bootseal.disk.filesystems.node import MAX_ENTRIES, Content, Node, bounded, check_size, text
from bootseal.errors import FormatError

_ROOT: Final = 2
_MAX_DEPTH: Final = 256
_VERSION: Final = re.compile(r"debugfs [0-9.]+ \(|$")
_DIRECTORY: Final = re.compile(rb"^debugfs: ls -p <(\d+)>$")
# /inode/mode/uid/gid/name/size/ with an empty size for directories.
_ENTRY: Final = re.compile(rb"^/(\d+)/([0-7]{6})/(\d+)/(\d+)/([^/\n]*)/(\d*)/$")
_ATTRIBUTES: Final = re.compile(rb"^debugfs: ea_list <(\d+)>$")
_CAPABILITY: Final = re.compile(rb"^  security\.capability \(\d+\)(?: = (.*))?$")
_HEX: Final = re.compile(rb"(?:[0-9a-f]{2} )+")


def read(image: Path, scratch: Path) -> list[Node]:
    """List an image and write its files to `scratch`, named by inode.

    Raises:
        FormatError: The image is damaged, or has names that cannot be listed.
        ToolError: debugfs is not installed.
    """
    (scratch / "files").mkdir()
    nodes: dict[str, tuple[int, Node]] = {}
    level, visited = {_ROOT: ""}, {_ROOT}
    for _ in range(_MAX_DEPTH):
        if not level:
            break
        following: dict[int, str] = {}
        for parent, inode, node in _list(image, scratch, level):
            path = f"{parent}/{node.path}" if parent else node.path
            if path in nodes:
                raise FormatError(f"the file system has two entries {path[:80]!r}")
            nodes[path] = inode, _placed(node, path, inode, scratch)
            if stat.S_ISDIR(node.mode):
                if inode in visited:
                    raise FormatError(f"ext4 directory {path[:80]!r} occurs twice")
                visited.add(inode)
                following[inode] = path
        if len(nodes) > MAX_ENTRIES:
            raise FormatError(f"ext4 image has more than {MAX_ENTRIES} entries")
        level = following
    check_size([node for _, node in nodes.values()])
    wanted = {inode for inode, node in nodes.values() if node.regular}
    _run(image, scratch, [f"dump <{inode}> files/{inode}" for inode in sorted(wanted)])
    capable = _capabilities(image, scratch, sorted(wanted))
    return [
        replace(node, capabilities=capable[inode]) if inode in capable else node
        for inode, node in nodes.values()
    ]


def _capabilities(image: Path, scratch: Path, inodes: list[int]) -> dict[int, bytes]:
    """Return the file capabilities of the files that have some, by inode."""
    output = _run(image, scratch, [f"ea_list <{inode}>" for inode in inodes])
    found: dict[int, bytes] = {}
    asked = 0
    for line in output.split(b"\n"):
        if start := _ATTRIBUTES.match(line):
            asked = int(start[1])
        elif value := _CAPABILITY.match(line):
            # It writes what is not all printable, as capabilities are, as numbers.
            numbers = _HEX.fullmatch(value[1] or b"")
            found[asked] = bytes.fromhex(value[1].decode()) if numbers else line
        elif line and line != b"Extended attributes:" and not line.startswith(b"  "):
            raise FormatError(f"ext4 attributes cannot be listed: {line[:80]!r}")
    return found


def _list(image: Path, scratch: Path, level: dict[int, str]) -> list[tuple[str, int, Node]]:
    """Return parent, inode and node of everything in some directories."""
    output = _run(image, scratch, [f"ls -p <{inode}>" for inode in level])
    found: list[tuple[str, int, Node]] = []
    parent, asked = "", False
    for line in output.split(b"\n"):
        if start := _DIRECTORY.match(line):
            parent, asked = level.get(int(start[1]), ""), True
        elif entry := _ENTRY.match(line):
            inode, mode = int(entry[1]), int(entry[2], 8)
            if not inode or entry[5] in {b".", b".."}:
                continue
            node = Node(
                path=text(entry[5]),
                mode=mode,
                uid=int(entry[3]),
                gid=int(entry[4]),
                size=int(entry[6] or 0),
            )
            found.append((parent, inode, node))
        elif line:
            raise FormatError(f"ext4 directory /{parent[:80]} cannot be listed: {line[:80]!r}")
    if not asked:
        raise FormatError("ext4 image cannot be listed by debugfs")
    return found


def _placed(node: Node, path: str, inode: int, scratch: Path) -> Node:
    content = None
    if node.regular:
        content = Content(path=scratch / "files" / str(inode), offset=0, size=node.size)
    return replace(node, path=path, content=content)


def _run(image: Path, scratch: Path, commands: list[str]) -> bytes:
    script, output = scratch / "commands", scratch / "output"
    script.write_text("".join(f"{command}\n" for command in commands))
    said = bounded("debugfs", ["-f", script, image], cwd=scratch, output=output)
    # It ends with success whatever it meets, and begins with its version.
    complaints = [line for line in said.splitlines() if not _VERSION.match(line)]
    if complaints:
        raise FormatError(f"debugfs cannot read the file system: {complaints[0][:300]}")
    return output.read_bytes()
