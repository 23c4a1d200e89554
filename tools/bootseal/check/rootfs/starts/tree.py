# SPDX-License-Identifier: MIT
"""A root file system as the running device sees it: its links, and what is mounted over it."""

from __future__ import annotations

import posixpath
import re
import stat
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.disk.filesystems.node import Node

_MAX_TEXT: Final = 1 << 20
_MAX_LINKS: Final = 40
# Other names of the same directories.
_ALIASES: Final = (
    (re.compile(r"/proc/(?:self|thread-self|1)/(?:root|cwd)(?=/|$)"), ""),
    (re.compile(r"/var/run(?=/|$)"), "/run"),
    (re.compile(r"/var/lock(?=/|$)"), "/run/lock"),
)
_SETTING: Final = re.compile(r"(?m)^\s*(Where|What|Type|Options)\s*=\s*(.*?)\s*$")

# What has no content, or what only the kernel writes.
_VIRTUAL: Final = re.compile(
    r"autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|fusectl|hugetlbfs"
    r"|mqueue|none|proc|pstore|ramfs|securityfs|selinuxfs|swap|sysfs|tracefs"
)


class MountEntry(NamedTuple):
    """A line of fstab or a mount unit: `source` is the declaring file, without leading slash."""

    source: str
    device: str
    where: str
    type: str
    options: frozenset[str]


class Tree:
    """The files of a root file system.

    Attributes:
        nodes: Its files.
        by_path: The same by path, without leading slash.
        mounts: What the image mounts, virtual file systems and the root left out.
    """

    def __init__(self, nodes: Sequence[Node], *, volatile: bool = True) -> None:
        """Take the files; without `volatile`, what is in a tmpfs does not count as unsigned."""
        self.nodes = nodes
        self._volatile = volatile
        self.by_path = {node.path: node for node in nodes}
        self.mounts = tuple(self._mounts())

    @cached_property
    def writable(self) -> tuple[str, ...]:
        """Where file systems are mounted that nothing signs, absolute."""
        return tuple(sorted({mount.where for mount in self.mounts}))

    @cached_property
    def persistent(self) -> Tree:
        """The same without file systems that are empty when the device starts."""
        return Tree(self.nodes, volatile=False)

    def text(self, node: Node) -> str:
        """Return a text file, its first MiB; nothing for other files and for binary ones."""
        raw = b"" if node.content is None else node.content.read(_MAX_TEXT)
        return "" if b"\0" in raw[:4096] else raw.decode(errors="replace")

    def resolve(self, path: str) -> str:
        """Resolve an absolute path as on the device, following the image's links."""
        for pattern, replacement in _ALIASES:
            path = pattern.sub(replacement, path) if pattern.match(path) else path
        todo, done, links = path.split("/")[::-1], list[str](), 0
        while todo:
            part = todo.pop()
            if part == "..":
                del done[-1:]
            elif part not in {"", "."}:
                done.append(part)
                node = self.by_path.get("/".join(done))
                hidden = node is None or self.covered("/" + "/".join(done))
                if node is not None and not hidden and stat.S_ISLNK(node.mode):
                    links += 1
                    if links > _MAX_LINKS:
                        break
                    done = [] if node.target.startswith("/") else done[:-1]
                    todo += node.target.split("/")[::-1]
        return "/" + "/".join(done)

    def covered(self, path: str) -> bool:
        """Tell whether a path without links is on an unsigned file system."""
        return any(path == place or path.startswith(f"{place}/") for place in self.writable)

    def volatile(self, path: str) -> bool:
        """Tell whether what is at a path without links was made since the device started."""
        found = [m for m in self.mounts if path == m.where or path.startswith(f"{m.where}/")]
        return max(found, key=lambda mount: len(mount.where)).type == "tmpfs" if found else False

    def leads(self, path: str) -> str:
        """Resolve a path if it ends on an unsigned file system; otherwise return nothing."""
        if not path.startswith("/"):
            return ""
        found = self.resolve(path)
        counts = self.covered(found) and (self._volatile or not self.volatile(found))
        return found if counts else ""

    def _mounts(self) -> Iterator[MountEntry]:
        for mount in self._declared():
            where = posixpath.normpath(mount.where) if mount.where.startswith("/") else "/"
            bound = {"bind", "rbind"} & mount.options
            if where != "/" and (bound or not _VIRTUAL.fullmatch(mount.type)):
                yield mount._replace(where=where)

    def _declared(self) -> Iterator[MountEntry]:
        fstab = self.by_path.get("etc/fstab")
        for line in self.text(fstab).splitlines() if fstab else ():
            fields = [] if line.lstrip().startswith("#") else line.split()
            if len(fields) > 2:  # noqa: PLR2004 - device, place, type
                device, where, kind = (_unescape(field) for field in fields[:3])
                options = frozenset((fields[3:4] or [""])[0].split(","))
                yield MountEntry("etc/fstab", device, where, kind, options)
        for node in self.nodes:
            if node.regular and node.path.endswith(".mount") and "/systemd/" in node.path:
                found = dict(_SETTING.findall(self.text(node)))
                options = frozenset(found.get("Options", "").split(","))
                where = found.get("Where", "").strip('"')
                yield MountEntry(
                    node.path, found.get("What", ""), where, found.get("Type", ""), options
                )


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
