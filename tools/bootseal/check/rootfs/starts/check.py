# SPDX-License-Identifier: MIT
"""Every path that starts a program, against the file systems that nothing signs.

The image's own fstab and mount units say which those are. A file is looked at where its name or
its first bytes say that it starts programs; what programs do beyond that is not known.
"""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Final

from bootseal import state
from bootseal.check.rootfs.starts import commands, environment, formats, links, shell, units
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats import elf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.check.rootfs.starts.tree import Tree
    from bootseal.disk.filesystems.node import Node
    from bootseal.findings.model import Finding

# Read by a shell although they neither begin with #! nor have to be executable.
_SOURCED: Final = re.compile(
    r"etc/(profile|profile\.d/.*|bash\.?bashrc.*|bash\..*|zsh/.*|csh\..*|rc\.local|rc.*\.d/.*|init\.d/.*"
    r"|cron\.(hourly|daily|weekly|monthly)/.*|default/.*|dhcp/.*hooks.*|dhcpcd\..*|ppp/.*|acpi/.*\.sh"
    r"|skel/\..*|initramfs-tools/.*|logrotate\.(d/.*|conf)|kernel/.*|update-motd\.d/.*|X11/Xsession.*)"
    r"|(root|home/[^/]+)/\.(profile|bash\w*|zsh\w*|xsession\w*|xinitrc|login|logout)"
    r"|(etc|usr/lib)/NetworkManager/dispatcher\.d/.*|etc/networkd-dispatcher/.*|etc/network/if-.*"
    r"|usr/lib/systemd/(system|user)(-environment)?-(generators|sleep|shutdown)/.*"
)
_HARD: Final = frozenset({"nosuid", "nodev", "noexec"})


def check(tree: Tree, where: str) -> Iterator[Finding]:
    """Yield whatever in a root file system would start unsigned programs.

    Args:
        tree: The root file system.
        where: Name of the partition.

    Raises:
        FormatError: A file cannot be read.
    """
    yield from _mounts(tree, where)
    for node in tree.nodes:
        for line, target in sorted(set(_leads(tree, node))):
            place = f"{where}:/{node.path}"
            at = f"line {line} leads" if line else "leads"
            yield finding(
                "disk.root-unsigned-program",
                place,
                f"{at} to {target}, which is not signed, for a program or what one loads",
                expected="a path on the signed root",
                observed=target,
            )


def _leads(tree: Tree, node: Node) -> Iterator[tuple[int, str]]:
    """Yield line and target of what in a file leads to unsigned files."""
    if stat.S_ISLNK(node.mode):
        if links.is_code(node.path) and not tree.covered(f"/{node.path}"):
            target = tree.resolve(f"/{node.path}")
            yield from ((0, found) for found in [target] if tree.covered(found))
        return
    if node.content is None or tree.covered(f"/{node.path}"):
        return
    head = node.content.read(2)
    if head == elf.MAGIC[:2]:
        yield from _program(tree, node)
        return
    known = units.FILES.fullmatch(node.path) is not None
    script = head == b"#!" or _SOURCED.fullmatch(node.path) is not None
    if not (known or script or any(re.fullmatch(p, node.path) for p, _ in formats.READERS)):
        return
    text = tree.text(node)
    if known:
        yield from units.read(tree, node.path, text)
    if script:
        # A script may run what it has just made in /tmp.
        yield from _script(tree.persistent, text)
    yield from formats.read(tree, node.path, text)


def _script(tree: Tree, text: str) -> Iterator[tuple[int, str]]:
    words = text.partition("\n")[0].removeprefix("#!").split() if text.startswith("#!") else []
    if target := commands.started(tree, words, lambda _: ""):
        yield 1, target
    name = next((word.rpartition("/")[2] for word in words[::-1] if not word.startswith("-")), "sh")
    if commands.is_shell(name) or name == "busybox":
        yield from (found for found in [shell.started(tree, text)] if found[1])
        return
    for number, line in enumerate(text.splitlines()[1:], start=2):
        if not line.lstrip().startswith("#") and (target := commands.code(tree, line)):
            yield number, target


def _program(tree: Tree, node: Node) -> Iterator[tuple[int, str]]:
    """Yield what a program is loaded with: its interpreter, its libraries and where they are."""
    if node.content is None:
        return
    try:
        with node.content.view() as data:
            found = elf.parse(data)
    except FormatError:
        return
    if found is not None:
        origin = "/" + node.path.rpartition("/")[0]
        for path in (found.interpreter, *found.search, *found.needed):
            if target := tree.leads(re.sub(r"\$(ORIGIN|\{ORIGIN\})", origin, path)):
                yield 0, target


def _mounts(tree: Tree, where: str) -> Iterator[Finding]:
    """Yield what is mounted over signed files, and what is mounted without care."""
    for mount in tree.mounts:
        place = f"{where}:/{mount.source}"
        kept = mount.device == state.LINKS or mount.device.startswith(f"{state.LINKS}/")
        if kept and (why := state.refusal(mount.where)):
            yield finding(
                "disk.root-state", place, f"keeps {mount.where} on the data partition: {why}"
            )
        elif (
            not kept
            and environment.is_signed(mount.where)
            and not mount.where.startswith(("/opt", "/boot"))
        ):
            yield finding(
                "disk.root-mount",
                place,
                f"mounts {mount.device} over {mount.where}, where signed files are",
            )
        elif missing := sorted(
            _HARD - mount.options - ({"noexec"} if mount.type == "tmpfs" else set())
        ):
            yield finding(
                "disk.root-mount-options",
                place,
                f"mounts {mount.where} without {', '.join(missing)}",
                expected=",".join(sorted(_HARD)),
                observed=",".join(sorted(mount.options)),
            )
