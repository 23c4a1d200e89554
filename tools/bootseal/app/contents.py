# SPDX-License-Identifier: MIT
"""What an application may contain: the root file system checks that apply, and its own.

Units in an image are never started, so what the root's checks say about those does not matter.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bootseal.app.stage import ENTRY, MOUNT_POINTS, OS_RELEASE, OTHER_OS_RELEASE
from bootseal.check.rootfs import files, keys, programs
from bootseal.check.rootfs.allowlist import Allowlist
from bootseal.check.rootfs.starts.tree import Tree
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.findings.grouped import listed
from bootseal.formats import elf
from bootseal.formats.app import release
from bootseal.formats.app.layout import ARCHITECTURE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.disk.filesystems.node import Node
    from bootseal.findings.model import Finding
    from bootseal.formats.app.release import Release

_NONE: Final = Allowlist(setuid=(), capabilities=())
_HERE: Final = {
    "disk.root-setuid": "chmod a-s: an application gains no privileges",
    "disk.root-capabilities": "setcap -r: an application gains no privileges",
    "disk.root-world-writable": "chmod o-w: an image is read-only",
}
"""What to do where a root file system could list a file as allowed."""
_ELSEWHERE: Final = frozenset({"disk.root-device-node"})
_MAX_TEXT: Final = 64 * 1024
_EXECUTABLE: Final = 0o005
_AARCH64: Final = bytes.fromhex("b700")
_MACHINE: Final = slice(18, 20)
_OTHER_NAMES: Final = frozenset({f"../{OS_RELEASE}", f"/{OS_RELEASE}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What an application says of itself.

    Attributes:
        release: Its name and version.
        entry: Path in it of the program that a device starts, without leading slash.
    """

    release: Release
    entry: str


def check(nodes: Sequence[Node]) -> Iterator[Finding]:
    """Yield what is wrong with the files of an application.

    Raises:
        FormatError: A file cannot be read.
    """
    for each in files.check(nodes, _NONE, ROOT, production=True):
        if each.id not in _ELSEWHERE:
            yield replace(each, remedy=_HERE.get(each.id, each.remedy))
    # Which certificates an application trusts is its own affair.
    yield from keys.check(nodes, _NONE, ROOT, development=True)
    yield from programs.check(nodes, _NONE, ROOT)
    yield from _devices(nodes)
    tree = Tree(nodes)
    yield from _mount_points(tree)
    yield from _release(tree)
    yield from _entry(tree)


def declared(nodes: Sequence[Node]) -> Declared:
    """Return an application's own declarations.

    Raises:
        FormatError: It does not.
    """
    tree = Tree(nodes)
    return Declared(release=release.parse(_text(tree)), entry=tree.resolve(f"/{ENTRY}")[1:])


def _devices(nodes: Sequence[Node]) -> Iterator[Finding]:
    special = [
        node.path
        for node in nodes
        if not (stat.S_ISREG(node.mode) or stat.S_ISDIR(node.mode) or stat.S_ISLNK(node.mode))
    ]
    if special:
        message = f"devices, FIFOs or sockets: {listed(special)}"
        yield finding("app.device-node", f"{ROOT}:/", message)


def _mount_points(tree: Tree) -> Iterator[Finding]:
    for name in MOUNT_POINTS:
        node = tree.by_path.get(name)
        if node is None or not stat.S_ISDIR(node.mode):
            message = "it is missing or not a directory, so systemd cannot mount over it"
            yield finding("app.mount-point", f"{ROOT}:/{name}", message)


def _text(tree: Tree) -> bytes:
    """Return the one file that systemd reads as os-release.

    Raises:
        FormatError: There is none, or there are two.
    """
    main, other = tree.by_path.get(OS_RELEASE), tree.by_path.get(OTHER_OS_RELEASE)
    if other is not None and stat.S_ISLNK(other.mode) and other.target in _OTHER_NAMES:
        other = None
    found = [each for each in (main, other) if each is not None]
    if len(found) != 1 or found[0].content is None or found[0].size > _MAX_TEXT:
        raise FormatError(
            f"expected one small file, /{OS_RELEASE} or /{OTHER_OS_RELEASE}, or the latter as a "
            "link to the former"
        )
    return found[0].content.read(_MAX_TEXT)


def _release(tree: Tree) -> Iterator[Finding]:
    try:
        release.parse(_text(tree))
    except FormatError as error:
        yield finding("app.os-release", f"{ROOT}:/{OS_RELEASE}", error.message)


def _entry(tree: Tree) -> Iterator[Finding]:
    link = tree.by_path.get(ENTRY)
    where = f"{ROOT}:/{ENTRY}"
    if link is None or not stat.S_ISLNK(link.mode):
        message = "the link to the program that a device starts is missing"
        yield finding("app.entry", where, message)
        return
    path = tree.resolve(f"/{ENTRY}")[1:]
    node = tree.by_path.get(path)
    hidden = any(path.startswith(f"{name}/") for name in MOUNT_POINTS)
    if node is None or node.content is None or hidden:
        yield finding("app.entry", where, f"it points to /{path}, which is not a file in the image")
        return
    if node.mode & _EXECUTABLE != _EXECUTABLE:
        mode = f"{stat.S_IMODE(node.mode):04o}"
        message = f"/{path} has mode {mode}: the application's user may not read and execute it"
        yield finding("app.entry", where, message)
    head = node.content.read(_MACHINE.stop)
    if head.startswith(elf.MAGIC) and head[_MACHINE] != _AARCH64:
        message = f"/{path} is not a program for {ARCHITECTURE}"
        yield finding("app.entry", where, message, observed=head[_MACHINE].hex())
