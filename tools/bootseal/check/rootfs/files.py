# SPDX-License-Identifier: MIT
"""What must not ship in a root file system: accounts, permissions, identities, ways in."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs.allowlist import Allowlist, allows
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.findings.grouped import ByDirectory
from bootseal.findings.model import Severity
from bootseal.formats import capability

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bootseal.disk.filesystems.node import Node
    from bootseal.findings.model import Finding

DEVELOPMENT: Final = (
    "usr/lib/bootseal/development",
    "usr/lib/systemd/system/bootseal-shell.service",
)
_SECRETS: Final = (
    "etc/ssh/ssh_host_*_key", "etc/dropbear/dropbear_*_host_key", "var/lib/dropbear/*_host_key",
    "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "var/lib/urandom/*-seed",
)  # fmt: skip
_LOGINS: Final = ("*/.ssh/authorized_keys*", "etc/dropbear/authorized_keys")
_MACHINE_IDS: Final = ("etc/machine-id", "var/lib/dbus/machine-id")
_MAX_TEXT: Final = 1 << 20
_LOCKED: Final = ("!", "*")
_PASSWORD_FIELD: Final = 1
_UID_FIELD: Final = 2
_SAID: Final = {
    "disk.root-world-writable": "everyone may write to {}",
    "disk.root-setuid": "setuid or setgid, and not on the allowlist: {}",
    "disk.root-capabilities": "file capabilities that are not on the allowlist: {}",
    "disk.root-device-node": "devices outside of /dev: {}",
}
"""Message of each finding that is made once for a directory."""


def check(
    nodes: Sequence[Node], allowlist: Allowlist, where: str, *, production: bool
) -> Iterator[Finding]:
    """Yield what is wrong with the files of a root file system.

    Args:
        nodes: Its files.
        allowlist: What it may hold.
        where: Name of the partition.
        production: Whether it is for devices in the field, rather than for development.

    Raises:
        FormatError: A file cannot be read.
    """
    by_path = {node.path: node for node in nodes}
    yield from _permissions(nodes, allowlist, where)
    yield from _identities(nodes, by_path, where)
    for name in ("etc/passwd", "etc/shadow"):
        if name in by_path:
            yield from _accounts(by_path[name], where)
    grave = Severity.ERROR if production else Severity.INFO
    for name in DEVELOPMENT:
        if name in by_path:
            yield finding(
                "disk.root-development",
                f"{where}:/{name}",
                "this belongs to development images: it offers a root shell on the console",
                severity=grave,
            )
    for node in nodes:
        if node.regular and node.size and allows(_LOGINS, node.path):
            yield finding(
                "disk.root-authorized-keys",
                f"{where}:/{node.path}",
                "anyone who holds one of these keys can log in on every device",
                severity=Severity.ERROR if production else Severity.WARNING,
            )


def _permissions(nodes: Sequence[Node], allowlist: Allowlist, where: str) -> Iterator[Finding]:
    found = ByDirectory(where, _SAID)
    for node in nodes:
        directory = stat.S_ISDIR(node.mode)
        sticky = directory and node.mode & stat.S_ISVTX
        kept = (directory or node.regular) and node.mode & stat.S_IWOTH and not sticky
        if kept and not allows(allowlist.world_writable, node.path):
            found.add("disk.root-world-writable", node.path)
        marked = node.mode & (stat.S_ISUID | stat.S_ISGID)
        if node.regular and marked and not allows(allowlist.setuid, node.path):
            found.add("disk.root-setuid", node.path)
        if node.capabilities and not allows(allowlist.capabilities, node.path):
            capable = f"{node.path} ({_capabilities(node.capabilities)})"
            found.add("disk.root-capabilities", capable)
        device = stat.S_ISBLK(node.mode) or stat.S_ISCHR(node.mode)
        if device and not node.path.startswith("dev/"):
            found.add("disk.root-device-node", node.path)
    yield from found.findings()


def _capabilities(value: bytes) -> str:
    try:
        return ", ".join(capability.names(value)) or "none"
    except FormatError:
        return "malformed"


def _identities(
    nodes: Sequence[Node], by_path: Mapping[str, Node], where: str
) -> Iterator[Finding]:
    """Yield what would make every device the same one."""
    for name in _MACHINE_IDS:
        node = by_path.get(name)
        if node is None or node.content is None:
            continue
        text = node.content.read(64).strip()
        if text not in {b"", b"uninitialized"}:
            yield finding(
                "disk.root-machine-id",
                f"{where}:/{name}",
                "every device would have the same identity: expected an empty file",
                expected="empty or 'uninitialized'",
                observed=text.decode(errors="replace"),
            )
    for node in nodes:
        if node.regular and node.size and allows(_SECRETS, node.path):
            yield finding(
                "disk.root-shared-secret",
                f"{where}:/{node.path}",
                "every device would have the same secret: expected it to be made on first boot",
            )


def _accounts(node: Node, where: str) -> Iterator[Finding]:
    """Yield the accounts of passwd or shadow that can log in, or that are root."""
    raw = node.content.read(_MAX_TEXT) if node.content else b""
    place = f"{where}:/{node.path}"
    shadow = node.path.endswith("shadow")
    for line in raw.decode(errors="replace").splitlines():
        fields = line.split(":")
        if not line.strip() or line.startswith(("#", "+", "-")) or len(fields) <= _UID_FIELD:
            continue
        name, password = fields[0], fields[_PASSWORD_FIELD]
        if not password:
            yield finding(
                "disk.root-empty-password", place, f"the account {name!r} has an empty password"
            )
        elif not password.startswith(_LOCKED) and (shadow or password != "x"):  # noqa: S105 - the mark for "see shadow"
            yield finding(
                "disk.root-default-password",
                place,
                f"the account {name!r} has a password, the same on every device",
            )
        if not shadow and name != "root" and fields[_UID_FIELD].strip().lstrip("0") == "":
            yield finding(
                "disk.root-second-root",
                place,
                f"the account {name!r} has user number 0: it is root by another name",
            )
