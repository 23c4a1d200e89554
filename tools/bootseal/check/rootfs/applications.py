# SPDX-License-Identifier: MIT
"""What a root says about applications: which may run, by whose key, and how they are confined.

Images are on the data partition, and what is signed there is whatever a certificate of the root
vouches for. So the root has to say no less than the layer's own unit does.

Spec: systemd.exec(5), systemd.unit(5) for the places of units and drop-ins; systemd-dissect(1) for
`verity.d`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs.starts import units
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Severity
from bootseal.formats.app import rules
from bootseal.formats.app.release import NAME
from bootseal.keys import certificate, cms

if TYPE_CHECKING:
    from bootseal.check.rootfs.starts.tree import Tree
    from bootseal.check.rootfs.starts.units import UnitSetting
    from bootseal.disk.filesystems.node import Node
    from bootseal.findings.model import Finding

CONFINED: Final[dict[str, tuple[str, ...]]] = {
    "ExecStartPre": ("+/usr/bin/bootseal-app start-check %i",),
    "ExecStart": ("@/usr/lib/bootseal/entry %i",),
    "RootImage": ("/data/apps/%i.raw.v",),
    "RootImagePolicy": ("root=signed",),
    "RootDirectoryStartOnly": ("yes",),
    "MountAPIVFS": ("yes",),
    "DynamicUser": ("yes",),
    "User": ("app-%i",),
    "StateDirectory": ("bootseal/%i",),
    "StateDirectoryMode": ("0700",),
    "TemporaryFileSystem": ("/var:mode=0755,noexec",),
    "ProtectSystem": ("strict",),
    "NoExecPaths": ("+/dev/shm +/tmp +/var/tmp",),
    "UMask": ("0077",),
    "PrivateDevices": ("yes",),
    "DevicePolicy": ("closed",),
    "PrivateNetwork": ("yes",),
    "RestrictAddressFamilies": ("AF_UNIX",),
    "PrivateUsers": ("yes",),
    "CapabilityBoundingSet": ("",),
    "NoNewPrivileges": ("yes",),
    "KeyringMode": ("private",),
    "LockPersonality": ("yes",),
    "MemoryDenyWriteExecute": ("yes",),
    "ProcSubset": ("pid",),
    "ProtectProc": ("invisible",),
    "ProtectClock": ("yes",),
    "ProtectControlGroups": ("yes",),
    "ProtectHome": ("yes",),
    "ProtectHostname": ("yes",),
    "ProtectKernelLogs": ("yes",),
    "ProtectKernelModules": ("yes",),
    "ProtectKernelTunables": ("yes",),
    "RestrictNamespaces": ("yes",),
    "RestrictRealtime": ("yes",),
    "RestrictSUIDSGID": ("yes",),
    "RemoveIPC": ("yes",),
    "SystemCallArchitectures": ("native",),
    "SystemCallFilter": (
        "@system-service",
        "~@privileged @resources",
        "~mq_open msgget semget shmget",
    ),
    "SystemCallErrorNumber": ("EPERM",),
    "MemorySwapMax": ("0",),
    "LimitCORE": ("0",),
    "StandardInput": ("null",),
}
"""What the layer's unit sets in its section Service, apart from limits and reports."""

_BOUNDED: Final = ("MemoryMax", "TasksMax")
# How much of the device an application takes, how long, and what becomes of its messages.
_LIMITS: Final = re.compile(
    r"(Memory|Startup(Memory|CPU|IO)|Tasks|CPU|IO|Log|OOM|Watchdog|Restart|Timeout|RuntimeMax"
    r"|StandardOutput|StandardError|SyslogIdentifier|SyslogLevel|Nice|Limit|Success|Type$)\w*"
)
# What a release may give an application if it means to: a network, devices, memory of other kinds.
_OPENED: Final = frozenset({
    "MemorySwapMax", "LimitCORE",
    "PrivateNetwork", "RestrictAddressFamilies", "IPAddressAllow", "IPAddressDeny",
    "PrivateDevices", "DevicePolicy", "DeviceAllow", "ProcSubset", "UMask", "ProtectHostname",
    "Environment", "RestrictRealtime",
})  # fmt: skip
_SYSTEM: Final = r"(?:usr/local/lib|usr/lib|lib|etc)/systemd/system(?:\.control)?"
_UNITS: Final = re.compile(rf"{_SYSTEM}/bootseal-app@[^/]*\.service")
_DROP_INS: Final = re.compile(
    rf"{_SYSTEM}/(?:service|bootseal-\.service|bootseal-app@[^/]*\.service)\.d/[^/]+\.conf"
)
_RULES: Final = re.compile(r"(?:usr/)?lib/bootseal/apps\.d/([^/]+)")
_CERTIFICATES: Final = re.compile(r"(?:etc|usr/lib|usr/local/lib|lib)/verity\.d/[^/]+\.crt")
_DIRECTORIES: Final = {
    re.compile(r"(?:usr/)?lib/bootseal/apps\.d"): "disk.root-app-rules",
    re.compile(r"(?:etc|usr/lib|usr/local/lib|lib)/verity\.d"): "disk.root-app-certificate",
    re.compile(
        rf"{_SYSTEM}(?:/(?:service|bootseal-\.service|bootseal-app@[^/]*\.service)\.d)?"
    ): "disk.root-app-confinement",
}
"""Where these files are; the finding for a link instead of such a directory."""
_SUFFIX: Final = ".conf"
_MAX_CERTIFICATE: Final = 65536
_SECTION: Final = re.compile(r"(?m)^[ \t]*\[(.*)\][ \t]*$")


def check(tree: Tree, where: str, keys: Collection[str] = ()) -> Iterator[Finding]:
    """Yield what is wrong with what a root file system says about applications.

    Args:
        tree: The root file system.
        where: Name of the partition.
        keys: Fingerprints of the keys that sign the device's applications; empty when they are not
            known.

    Raises:
        FormatError: A file cannot be read.
    """
    for node in tree.nodes:
        place = f"{where}:/{node.path}"
        if match := _RULES.fullmatch(node.path):
            yield from _rules(node, match[1], place)
        elif _CERTIFICATES.fullmatch(node.path):
            yield from _certificate(tree, node, place, keys)
        elif _DROP_INS.fullmatch(node.path):
            yield from _drop_in(tree, node, place)
        elif _UNITS.fullmatch(node.path):
            yield from _unit(tree, node, place)
        elif stat.S_ISLNK(node.mode):
            for form, identifier in _DIRECTORIES.items():
                if form.fullmatch(node.path):
                    yield finding(identifier, place, f"it is a link to {node.target}")


def _rules(node: Node, name: str, place: str) -> Iterator[Finding]:
    """Yield why the device takes no application from a file."""
    problem = ""
    if NAME.fullmatch(name.removesuffix(_SUFFIX)) is None or not name.endswith(_SUFFIX):
        problem = f"its name is not that of an application: expected NAME{_SUFFIX}"
    elif not node.regular or node.content is None:
        problem = "it is not a regular file"
    else:
        try:
            rules.parse(node.content.read(rules.LONGEST + 1))
        except FormatError as error:
            problem = error.message
    if problem:
        yield finding("disk.root-app-rules", place, problem)


def _certificate(tree: Tree, node: Node, place: str, keys: Collection[str]) -> Iterator[Finding]:
    found = _followed(tree, node)
    if found is None or found.content is None:
        message = "it does not lead to a file of the root"
        yield finding("disk.root-app-certificate", place, message)
        return
    try:
        own = certificate.parse(found.content.read(_MAX_CERTIFICATE), "it")
        key = certificate.key_of(own).fingerprint()
    except FormatError as error:
        yield finding("disk.root-app-certificate", place, error.message)
        return
    if problem := cms.purpose_problem(own):
        yield finding("disk.root-app-certificate", place, f"it {problem}")
    if keys and key not in keys:
        expected = ", ".join(sorted(keys))
        yield finding(
            "disk.root-app-certificate",
            place,
            f"it is for the key {key}: expected {expected}, which sign the device's applications",
            expected=expected,
            observed=key,
        )


def _unit(tree: Tree, node: Node, place: str) -> Iterator[Finding]:
    """Yield what a unit lets an application do beyond what the layer's does."""
    if node.path != units.APPLICATIONS:
        yield finding(
            "disk.root-app-confinement", place, f"it takes the place of /{units.APPLICATIONS}"
        )
        return
    found = _settings(tree, node)
    for key, values in CONFINED.items():
        observed = tuple(each.value for each in found if each.key == key)
        if observed != values:
            yield finding(
                "disk.root-app-confinement",
                place,
                f"{key}= is {_said(observed)}: expected {_said(values)}",
                expected=_said(values),
                observed=_said(observed),
            )
    for key in _BOUNDED:
        observed = tuple(each.value for each in found if each.key == key)
        if not observed or not observed[-1]:
            yield finding("disk.root-app-confinement", place, f"{key}= is not set")
    yield from _beyond(found, place, known=CONFINED)


def _drop_in(tree: Tree, node: Node, place: str) -> Iterator[Finding]:
    """Yield what a drop-in, which may set limits, changes besides."""
    yield from _beyond(_settings(tree, node), place)


def _beyond(found: list[UnitSetting], place: str, known: Collection[str] = ()) -> Iterator[Finding]:
    for each in found:
        unbounded = each.key in _BOUNDED and each.value in {"", "infinity", "100%"}
        limit = _LIMITS.fullmatch(each.key) and each.key not in CONFINED
        if each.key in known or (limit and not unbounded):
            continue
        yield finding(
            "disk.root-app-confinement",
            place,
            f"line {each.line} sets {each.key}={each.value[:100]} for applications",
            severity=Severity.WARNING if each.key in _OPENED else Severity.ERROR,
        )


def _settings(tree: Tree, node: Node) -> list[UnitSetting]:
    """Return what the section Service of a unit or drop-in sets."""
    found = _followed(tree, node)
    text = "" if found is None else tree.text(found)
    kept, section = list[str](), ""
    for line in text.splitlines():
        if match := _SECTION.fullmatch(line):
            section = match[1]
        # The lines keep their numbers.
        kept.append(line if section == "Service" and not match else "")
    return units.settings("\n".join(kept))


def _followed(tree: Tree, node: Node) -> Node | None:
    """Return the regular file that a path leads to, if it is on the signed root."""
    if stat.S_ISLNK(node.mode):
        path = tree.resolve(f"/{node.path}")
        found = None if tree.covered(path) else tree.by_path.get(path[1:])
        return found if found is not None and found.regular else None
    return node if node.regular else None


def _said(values: tuple[str, ...]) -> str:
    return " and ".join(values) or ("not set" if not values else "empty")
