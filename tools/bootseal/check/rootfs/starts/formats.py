# SPDX-License-Identifier: MIT
"""Files other than units and scripts that start programs, and how each names them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from bootseal.check.rootfs.starts import commands, environment, links, shell
from bootseal.check.rootfs.starts.units import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bootseal.check.rootfs.starts.tree import Tree

    Reader: TypeAlias = Callable[[Tree, str], Iterable[str]]
    """Takes one line, yields the unsigned files that it leads to."""

_KERNEL: Final = re.compile(
    r"/?(proc/sys/)?kernel[./](core_pattern|modprobe|hotplug|poweroff_cmd|usermodehelper\S*)"
    r"|/?sys/kernel/uevent_helper"
)
_UDEV: Final = re.compile(
    r'(RUN|PROGRAM|IMPORT|ENV)(?:\{([^}]*)\})?\s*(?:\+=|:=|=)=?\s*[ei]?"((?:[^"\\]|\\.)*)"'
)
_XML: Final = re.compile(r"<(?:servicehelper|servicedir|includedir|include)[^>]*>([^<]+)<")
# PAM modules whose file is a record of what happened, not a decision.
_PAM_DATA: Final = re.compile(
    r"pam_(faillock|lastlog2?|tally2|timestamp|motd|mkhomedir|limits)\.so"
)
_LONGEST: Final = 4096
_KEYS: Final = re.compile(
    r"(?i)[\w.:-]*(exec|command|cmd|program|script|hook|action|binary|plugin|modul|preload|helper"
    r"|invoke|dynamic_path|library|engine|daemon|shell|include|handler|interpreter|run|start|up|down"
    r"|server|notify|prerotate|postrotate|path|source)[\w.:\[\]-]*[\"']?\s*[=: \t]"
)
_DATA_KEYS: Final = re.compile(
    r"(?i)[\w.:-]*(run_?(dir|path)|(data|state|log|cache|db|database|store|storage|socket|pid|lock|home|"
    r"root|base|work|spool|backup|upload|media|cert|key|file|host)[\w.-]*path|server_?name|server_?root"
    r"|script_?name|pid|startup_?(log|delay)|server[_-]?(key|cert|log|dir)"
    r"|downloads(?![\w-]))[\w-]*[\"']?\s*[=: \t]"
)


def _scan(tree: Tree, text: str) -> str:
    return shell.started(tree, text)[1]


def _start(tree: Tree, words: list[str]) -> Iterator[str]:
    yield from filter(None, [commands.started(tree, words, lambda text: _scan(tree, text))])


def _anywhere(tree: Tree, line: str) -> Iterator[str]:
    if not line.lstrip().startswith(("#", ";", "//")):
        yield from filter(None, map(tree.leads, commands.paths(line)))


def _shell(tree: Tree, line: str) -> Iterator[str]:
    yield from filter(None, [_scan(tree, line)])


def _udev(tree: Tree, line: str) -> Iterator[str]:
    if line.lstrip().startswith("#"):
        return
    for key, kind, value in _UDEV.findall(line):
        if key == "ENV":
            yield from filter(None, [environment.leads(tree, f"{kind}={value}")])
        elif kind == "file" or (key == "IMPORT" and kind in {"parent", "db", "cmdline"}):
            yield from filter(None, [tree.leads(value)])
        elif kind != "builtin":
            yield from _start(tree, split(value))


def _cron(fields: int) -> Reader:
    """Return the reader of a crontab whose command begins behind so many fields."""

    def read(tree: Tree, line: str) -> Iterator[str]:
        line = line.strip()
        if line.startswith("#") or not line:
            return
        if re.match(r"[A-Za-z_]\w*\s*=", line):
            name, _, value = line.partition("=")
            yield from filter(None, [environment.leads(tree, f"{name.strip()}={value.strip()}")])
            return
        count = fields - 4 if line.startswith("@") and fields > 4 else fields  # noqa: PLR2004 - @reboot stands for five
        yield from _shell(tree, " ".join(line.split(None, count)[count:]))

    return read


def _after(pattern: str) -> Reader:
    """Return the reader of lines where a command follows a pattern."""
    compiled = re.compile(pattern)

    def read(tree: Tree, line: str) -> Iterator[str]:
        if (match := compiled.match(line)) is not None:
            yield from _shell(tree, line[match.end() :])

    return read


def _dbus(tree: Tree, line: str) -> Iterator[str]:
    yield from filter(None, (tree.leads(text.strip()) for text in _XML.findall(line)))


def _binfmt(tree: Tree, line: str) -> Iterator[str]:
    if line[:1] not in {"", "#", ";"}:
        fields = line.split(line[0])
        yield from filter(None, map(tree.leads, fields[6:7]))


def _tmpfiles(tree: Tree, line: str) -> Iterator[str]:
    fields = split(line)
    if len(fields) < 7 or line.startswith("#"):  # noqa: PLR2004 - type to argument
        return
    kind, place, argument = fields[0][:1], fields[1], " ".join(fields[6:])
    if kind in "LC" and (links.is_code(place.lstrip("/")) or environment.is_signed(place)):
        yield from filter(None, [tree.leads(argument)])
    elif kind in "wf" and _KERNEL.match(place):
        yield from filter(None, [tree.leads(argument.lstrip("|"))])


def _sysctl(tree: Tree, line: str) -> Iterator[str]:
    key, _, value = line.partition("=")
    value = value.strip()
    piped = value.startswith("|") or "core_pattern" not in key
    if _KERNEL.match(key.strip().lstrip("-")) and piped:
        yield from filter(None, [tree.leads(value.lstrip("|").split(" ")[0])])


def _pam(tree: Tree, line: str) -> Iterator[str]:
    if not _PAM_DATA.search(line):
        yield from _anywhere(tree, line.replace("=", " "))


def _passwd(tree: Tree, line: str) -> Iterator[str]:
    fields = line.split(":")
    if len(fields) > 6:  # noqa: PLR2004 - name to shell
        homes = fields[5:6] if fields[2].strip().lstrip("0") == "" else []
        yield from filter(None, map(tree.leads, [*homes, fields[6].strip()]))


def _sysusers(tree: Tree, line: str) -> Iterator[str]:
    fields = split(line)
    if fields[:1] and fields[0].startswith("u"):
        root = fields[1:2] == ["root"]
        yield from filter(None, map(tree.leads, fields[4:6] if root else fields[5:6]))


def _inetd(tree: Tree, line: str) -> Iterator[str]:
    if not line.startswith("#"):
        words = line.split()[5:]
        yield from _start(tree, words[:1] + words[2:])


def _variables(tree: Tree, line: str) -> Iterator[str]:
    """Read `NAME=VALUE`, `NAME VALUE` and pam_env's `NAME DEFAULT=VALUE`."""
    if line.lstrip().startswith("#"):
        return
    words = re.sub(r"^\s*(export|setenv)\s+", "", line).strip().split(None, 1)
    texts = [" ".join(words)]
    if len(words) > 1:
        texts += [f"{words[0]}={word.partition('=')[2] or word}" for word in words[1].split()]
    yield from filter(None, (environment.leads(tree, text) for text in texts))


def _sudoers(tree: Tree, line: str) -> Iterator[str]:
    if line.startswith(("#include", "@include")) or not line.startswith("#"):
        yield from filter(None, map(tree.leads, re.findall(r"/[\w./@%+-]+", line)))


def _keyed(tree: Tree, line: str) -> Iterator[str]:
    """Read any other configuration: a key that speaks of programs or code, and a path."""
    text = line.strip()
    if not text.startswith(("#", ";", "//")) and _KEYS.match(text) and not _DATA_KEYS.match(text):
        yield from filter(None, map(tree.leads, commands.paths(text)))


_VARIABLE_FILES: Final = (
    r"etc/(environment|login\.defs|default/.*|locale\.conf|security/pam_env\.conf|conf\.d/.*)"
    r"|(etc|usr/lib)/environment\.d/.*|root/\.pam_environment|etc/sysconfig/.*"
)
READERS: Final[tuple[tuple[str, Reader], ...]] = (
    (r"etc/ld\.so\.(preload|conf|conf\.d/.*)", _anywhere),
    (r"(etc|usr/lib|lib|usr/local/lib)/udev/.*\.rules", _udev),
    (r"(etc/crontab|etc/cron\.d/.*|usr/lib/cron\.d/.*)", _cron(6)),
    (r"etc/anacrontab", _cron(3)),
    (r"(var/spool/cron|etc/crontabs)/.*", _cron(5)),
    (r"usr/share/dbus-1/.*\.service|etc/dbus-1/.*\.service", _after(r"\s*Exec\s*=")),
    (r"(etc|usr/share)/dbus-1/.*\.conf", _dbus),
    (r".*\.desktop", _after(r"\s*Exec\s*=")),
    (r"(etc|usr/lib|lib)/modprobe\.d/.*", _after(r"\s*(install|remove)\s+\S+\s")),
    (r"(etc|usr/lib|lib)/depmod\.d/.*", _anywhere),
    (r"(etc|usr/lib)/binfmt\.d/.*", _binfmt),
    (r"(etc|usr/lib)/tmpfiles\.d/.*", _tmpfiles),
    (r"etc/sysctl\.conf|(etc|usr/lib)/sysctl\.d/.*", _sysctl),
    (r"etc/pam\.(d/.*|conf)|usr/lib/pam\.d/.*", _pam),
    (r"(etc|usr/share)/polkit-1/.*", _anywhere),
    (r"(etc|usr/lib)/passwd-?", _passwd),
    (r"(etc|usr/lib)/sysusers\.d/.*", _sysusers),
    (r"etc/inittab", _after(r"(?!#)[^:]*:[^:]*:[^:]*:")),
    (r"etc/inetd\.conf", _inetd),
    (r"etc/network/interfaces(\.d/.*)?", _after(r"\s*(pre-|post-)?(up|down)\s|(?=\s*source)")),
    (_VARIABLE_FILES, _variables),
    (r"etc/sudoers(\.d/.*)?|etc/doas\.conf", _sudoers),
    (r".*\.pth", _anywhere),
    (r"usr/share/(p11-kit|vulkan|glvnd|factory/etc)/.*", _keyed),
    (r"usr/(lib|share)/.*/?(openssl\.cnf|gconv-modules.*|NetworkManager\.conf)", _keyed),
    (r"etc/(?!fstab$|crypttab$|ssh/|systemd/|init\.d/|rc).*", _keyed),
)
"""Patterns of whole paths, and what reads a line of such a file; the first that fits is taken."""


def read(tree: Tree, path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield line and target of every reference in a file to unsigned files."""
    reader = next((reader for pattern, reader in READERS if re.fullmatch(pattern, path)), None)
    if reader is None:
        return
    continued = re.sub(r"\\\n", lambda _: "  ", text)
    for number, line in enumerate(continued.splitlines(), start=1):
        for target in reader(tree, line[:_LONGEST]):
            yield number, target
