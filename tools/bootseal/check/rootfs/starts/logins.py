# SPDX-License-Identifier: MIT
"""Ways to a shell: those without a password, and those that unsigned files decide about."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs.starts import commands, units
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.check.rootfs.starts.tree import Tree
    from bootseal.check.rootfs.starts.units import UnitSetting
    from bootseal.findings.model import Finding

# Started by systemd-getty-generator and systemd-logind without a link.
_GETTYS: Final = re.compile(
    r"(getty|serial-getty|autovt|console-getty|container-getty)@?.*\.service"
)
_TERMINAL: Final = re.compile(r"tty(-force|-fail)?|socket|/dev/.*|fd:.*|file:/dev/.*")

# What a program is called, what its arguments look like, and what that means.
_OPEN: Final = tuple(
    (re.compile(name), re.compile(arguments), message)
    for name, arguments, message in (
        (
            r"[am]?getty|fgetty",
            r"(.* )?(--autologin\b|-a|(-l ?|--login-program[= ])(\S*/)?([bd]?a?sh|busybox)( |$)).*",
            "logs an account in without a password (getty)",
        ),
        (r"login", r"(.* )?-[ph]*f.*", "logs an account in without a password (login -f)"),
        (
            r"sulogin",
            r"(.* )?(-[a-z]*e|--force)( .*)?",
            "opens the rescue shell without a password (sulogin --force)",
        ),
        (
            r"(in\.|u)?(telnetd|rshd|rlogind|rexecd)|ttyd|shellinaboxd|gotty|adbd",
            r".*",
            "offers a shell on the network, or logins that anyone can read",
        ),
        (
            r"nc|ncat|netcat|nc\.(openbsd|traditional)",
            r"(.* )?(-[a-z]*[ec]|--exec|--sh-exec)( .*)?",
            "connects a program to the network (nc)",
        ),
        (
            r"socat",
            r"(?i).*\b(EXEC|SYSTEM|SHELL):.*",
            "connects a program to the network (socat)",
        ),
        (r"dropbear", r"(.* )?-[a-zA-Z]*B.*", "accepts empty passwords (dropbear -B)"),
    )
)
_TEXTS: Final = tuple(
    (re.compile(path), re.compile(text, re.MULTILINE), message)
    for path, text, message in (
        (
            r".*/[^/]+\.preset",
            r"^\s*enable\s+debug-shell",
            "enables the debug shell: root without a password on a terminal",
        ),
        (
            r"(etc|usr/lib|usr/share)/ssh/sshd_config.*",
            r"(?i)^\s*PermitEmptyPasswords[\s=]+yes",
            "sshd accepts empty passwords",
        ),
        (
            r"(etc|usr/lib)/pam\.d/.*",
            r"^\s*-?auth\s+(sufficient|\[[^]\n]*success=done[^]\n]*\])\s+\S*pam_permit",
            "PAM accepts every login (pam_permit.so)",
        ),
    )
)
_LONGEST: Final = 4096
_FORCED: Final = "SYSTEMD_SULOGIN_FORCE=1"
_NO_SHELLS: Final = frozenset({"nologin", "false", "sync", "halt", "shutdown", ""})
_DECIDES: Final = re.compile(
    r"(?i)\s*(AuthorizedKeys(?:File|Command)|AuthorizedPrincipals(?:File|Command)|TrustedUserCAKeys"
    r"|Include|Subsystem|ForceCommand|SecurityKeyProvider|PAMServiceName)[\s=]+(.*)"
)


def check(tree: Tree, where: str, *, production: bool) -> Iterator[Finding]:
    """Yield the ways to a shell of a root file system.

    Args:
        tree: The root file system.
        where: Name of the partition.
        production: Whether it is for devices in the field, rather than for development.

    Raises:
        FormatError: A file cannot be read.
    """
    for path, message in _shells(tree):
        yield finding(
            "disk.root-shell",
            f"{where}:/{path}",
            message,
            severity=Severity.ERROR if production else Severity.INFO,
        )
    for path, message in _unsigned(tree):
        yield finding(
            "disk.root-login-unsigned",
            f"{where}:/{path}",
            message,
            severity=Severity.ERROR if production else Severity.WARNING,
        )


def _shells(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield what opens a shell without a password: path and message."""
    started = _started(tree)
    for node in tree.nodes:
        if not node.regular:
            continue
        if units.FILES.fullmatch(node.path):
            unit = _unit(node.path)
            if message := _unit_shell(tree, node.path, unit, started):
                yield node.path, message
        elif node.path in {"etc/inittab", "etc/inetd.conf"}:
            for line in tree.text(node).splitlines():
                if message := _table_shell(line):
                    yield node.path, message
        for path, pattern, message in _TEXTS:
            if path.fullmatch(node.path) and pattern.search(tree.text(node)):
                yield node.path, message


def _started(tree: Tree) -> frozenset[str]:
    """Return the units that a link or another unit starts, instances under their template."""
    found: set[str] = set()
    masked: set[str] = set()
    for node in tree.nodes:
        if "/systemd/" not in node.path:
            continue
        directory, name = posixpath.split(node.path)
        if node.target == "/dev/null":
            masked.add(name)
        elif node.target:
            found |= {name, posixpath.basename(node.target)}
        elif directory.endswith((".wants", ".requires", ".upholds")):
            found.add(name)
        elif node.regular and units.FILES.fullmatch(node.path):
            for setting in units.settings(tree.text(node)):
                if setting.key in {"Wants", "Requires", "Upholds", "BindsTo", "Unit", "Sockets"}:
                    found |= set(setting.value.split())
    sockets = {name.replace(".socket", "@.service") for name in found if name.endswith(".socket")}
    names = found - masked | sockets | {name.replace("@.", ".") for name in sockets}
    return frozenset(re.sub(r"@.*\.", "@.", name) for name in names)


def _unit(path: str) -> str:
    """Return the name of the unit that a file or a drop-in is of, without its instance."""
    directory, name = posixpath.split(path)
    parent = posixpath.basename(directory)
    unit = parent.removesuffix(".d") if parent.endswith(".d") else name
    return re.sub(r"@.*\.", "@.", unit)


def _unit_shell(tree: Tree, path: str, unit: str, started: frozenset[str]) -> str:
    """Return how a unit opens a shell without a password, or nothing."""
    mask = tree.by_path.get(f"etc/systemd/system/{unit}")
    if mask is not None and mask.target == "/dev/null":
        return ""
    found = units.settings(tree.text(tree.by_path[path]))
    if any(s.key.endswith("Environment") and _FORCED in s.value for s in found):
        return f"opens the rescue shell without a password ({_FORCED})"
    if unit not in started and not _GETTYS.fullmatch(unit):
        return ""
    for _, command in units.lines(found):
        if message := _command_shell(command) or _terminal_shell(found, command):
            return message
    return ""


def _terminal_shell(found: list[UnitSetting], command: list[str]) -> str:
    values = {setting.key: setting.value for setting in found}
    terminal = "TTYPath" in values or _TERMINAL.fullmatch(values.get("StandardInput", ""))
    words = [word for word in command if not word.startswith("-")]
    if terminal and words and commands.is_shell(words[-1]) and "-c" not in command:
        return f"runs {words[-1]} on a terminal or a connection, without a login"
    return ""


def _command_shell(words: list[str]) -> str:
    """Return how a command line opens a shell without a password, or nothing."""
    for index, word in enumerate(words[:4]):
        rest = " ".join(words[index + 1 :])[:_LONGEST]
        for name, arguments, message in _OPEN:
            if name.fullmatch(posixpath.basename(word)) and arguments.fullmatch(rest):
                return message
    return ""


def _table_shell(line: str) -> str:
    """Return how a line of inittab or inetd.conf opens a shell without a password, or nothing."""
    if line.lstrip().startswith("#") or not line.strip():
        return ""
    fields = line.split(":", 3)
    words = fields[3].split() if len(fields) == 4 else line.split()[5:]  # noqa: PLR2004 - inittab
    if words and commands.is_shell(words[0].lstrip("-@+")) and "-c" not in words:
        return f"runs {words[0]} without a login"
    return _command_shell(words)


def _unsigned(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield what lets unsigned files decide who logs in: path and message."""
    server = any(f"usr/{place}" in tree.by_path for place in ("sbin/sshd", "sbin/dropbear"))
    default = True
    for node in tree.nodes:
        if not node.regular or not re.fullmatch(r"(etc|usr/\w+)/ssh/sshd_config.*", node.path):
            continue
        server = True
        for match in filter(None, map(_DECIDES.match, tree.text(node).splitlines())):
            default = default and match[1].lower() != "authorizedkeysfile"
            for target in filter(None, map(tree.leads, commands.paths(match[2].replace('"', " ")))):
                yield node.path, f"{match[1]} lets {target} decide, which is not signed"
            if match[1].lower() == "authorizedkeysfile":
                yield from _homes(tree, match[2].split())
    if server and default:
        yield from _homes(tree, [".ssh/authorized_keys"])
    if target := tree.leads("/etc/dropbear/authorized_keys"):
        yield "etc/dropbear", f"keys in {target} log in"


def _homes(tree: Tree, files: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the accounts whose keys an SSH server takes from an unsigned home directory."""
    node = tree.by_path.get("etc/passwd")
    for line in tree.text(node).splitlines() if node else ():
        fields = line.split(":")
        if len(fields) < 7 or posixpath.basename(fields[6].strip()) in _NO_SHELLS:  # noqa: PLR2004 - name to shell
            continue
        name, home = fields[0], fields[5].rstrip("/")
        for file in files:
            place = file.replace("%h", home).replace("%u", name)
            target = tree.leads(place if place.startswith("/") else f"{home}/{place}")
            if target and ("%" in file or not file.startswith("/")):
                yield "etc/passwd", f"keys in {target} can log in as {name!r}"
