# SPDX-License-Identifier: MIT
"""Which unsigned files the units and the configuration of systemd start.

Spec: systemd.exec(5), systemd.service(5), systemd-system.conf(5).
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.check.rootfs.starts import commands, environment, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.check.rootfs.starts.tree import Tree

FILES: Final = re.compile(
    r"(.*/)?systemd/.*\.(service|socket|mount|automount|swap|path|timer|target|slice|scope|conf|nspawn)"
)
APPLICATIONS: Final = "usr/lib/systemd/system/bootseal-app@.service"
"""The unit that starts images on the data partition."""
_EXEC: Final = re.compile(r"Exec(?!SearchPath|Paths)[A-Z]\w*")
_CODE: Final = re.compile(
    r"ExecSearchPath|RootDirectory|(Root|Mount)Images?|Extension(Images|Directories)|Image"
    r"|EnvironmentFile"
)
_VARIABLES: Final = frozenset({"Environment", "DefaultEnvironment", "ManagerEnvironment"})
_BINDS: Final = frozenset({"BindPaths", "BindReadOnlyPaths", "Bind", "BindReadOnly"})
_LONGEST: Final = 4096
_PREFIXES: Final = "@-:+!|"


class UnitSetting(NamedTuple):
    """A line of a unit: its number, the key and the value."""

    line: int
    key: str
    value: str


def settings(text: str) -> list[UnitSetting]:
    """Return the settings of a unit, continued lines put together."""
    found: list[UnitSetting] = []
    whole, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith(("#", ";")) or (not line.strip() and not whole):
            continue
        start = start if whole else number
        whole += line.rstrip().removesuffix("\\") + " "
        if line.rstrip().endswith("\\"):
            continue
        key, equals, value = whole.partition("=")
        if equals:
            found.append(UnitSetting(start, key.strip(), value.strip()))
        whole = ""
    return found


def lines(found: list[UnitSetting]) -> Iterator[tuple[int, list[str]]]:
    """Yield the command lines of a unit with their numbers, variables of the unit replaced."""
    known = dict(
        word.partition("=")[::2]
        for setting in found
        if setting.key in _VARIABLES
        for word in split(setting.value)
    )
    for setting in found:
        if not _EXEC.fullmatch(setting.key):
            continue
        command: list[str] = []
        for word in [*split(setting.value), ";"]:
            if word != ";":
                command.append(re.sub(r"\$\{?(\w+)\}?", lambda m: known.get(m[1], m[0]), word))
            elif command:
                command[0] = command[0].lstrip(_PREFIXES)
                yield setting.line, command
                command = []


def split(value: str) -> list[str]:
    """Return the words of a value; one with an open quote, or a long one, is split at spaces."""
    try:
        return shlex.split(value) if len(value) <= _LONGEST else value.split()
    except ValueError:
        return value.split()


def read(tree: Tree, path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield line and target of every reference in a unit to unsigned files.

    Args:
        tree: The root file system.
        path: Of the unit, without leading slash.
        text: Its content.
    """
    found = settings(text)
    places = [s.value.lstrip("-") for s in found if s.key == "WorkingDirectory"]
    directory = next((place for place in places if tree.leads(place)), "")

    def scan(inner: str) -> str:
        return shell.started(tree, inner, directory)[1]

    for number, command in lines(found):
        if target := commands.started(tree, command, scan, directory):
            yield number, target
    policies = [s.value for s in found if s.key == "RootImagePolicy"]
    for setting in found:
        # systemd verifies such an image at each start, by the certificates of the signed root; but
        # any that they vouch for, so that only what asks for the application's rules may.
        if path == APPLICATIONS and setting.key == "RootImage" and policies == ["root=signed"]:
            continue
        for target in _named(tree, setting):
            yield setting.line, target


def _named(tree: Tree, setting: UnitSetting) -> Iterator[str]:
    """Yield the unsigned places that a setting takes code or variables from."""
    words = split(setting.value)
    if setting.key in _VARIABLES:
        yield from filter(None, (environment.leads(tree, word) for word in words))
    elif _CODE.fullmatch(setting.key):
        for word in words:
            for part in word.split(":"):
                yield from filter(None, [tree.leads(part.lstrip("-+"))])
    elif setting.key in _BINDS:
        for word in words:
            source, _, target = word.lstrip("-").partition(":")
            if environment.is_signed(target.partition(":")[0]):
                yield from filter(None, [tree.leads(source)])
