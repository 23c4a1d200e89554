# SPDX-License-Identifier: MIT
"""What of a product is kept on its data partition: which places may be, and the units that do it.

bitbake reads this module as well, while it parses: it imports nothing outside of Python.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

MACHINE_ID: Final = "/etc/machine-id"
PLACES_FILE: Final = "usr/lib/bootseal/state-places"
"""What `state` on the device reads: a place a line. Without the leading slash, as below."""
LINKS: Final = "/run/bootseal/state"
"""Where `state` on the device puts a link for each place, to where it is kept in this boot."""
UNITS: Final = "usr/lib/systemd/system"
APPLICATIONS: Final = "/var/lib/private/bootseal"
"""Where systemd has what signed applications keep: on the data partition, and not a product's."""
OPTIONS: Final = "bind,nosuid,nodev,noexec,nosymfollow"
"""How each place is mounted: as /data is."""

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"
_PLACE: Final = re.compile(rf"(/{_NAME})+")
_LONGEST: Final = 200

# Where services keep what they need. In /etc, these name no program and no library.
_ALLOWED: Final = re.compile(
    rf"/var/log|/var/(?:log|lib|cache|spool)(?:/{_NAME})+|/etc/systemd/network"
    r"|/etc/NetworkManager/system-connections"
)
# Of these, what programs that are known read for code, for rights or for what to start.
_CODE: Final = re.compile(
    r"/var/lib/(?:extensions|confexts|portables|machines|sysext|flatpak|snapd|containers?|docker"
    r"|containerd|kubelet|rancher|polkit-1|AccountsService|dbus|dpkg|apt|rpm|dnf|opkg|pam|sudo"
    r"|dkms|initramfs-tools|misc|bootseal|rauc|greengrass|lxc|lxd|incus|libvirt|cni|nspawn|pacman"
    r"|yum|zypp|PackageKit|mender|swupdate|cloud|extrausers|sss|fprint|private/bootseal)(?:/.*)?"
    r"|/var/lib/private"
    r"|/var/lib/systemd(?!/(?:timesync|rfkill|backlight|coredump)$)(?:/.*)?"
    r"|/var/spool/(?:cron|anacron|at|atd|atjobs|atspool|incron)(?:/.*)?"
    r"|/var/cache/(?:ldconfig|fontconfig|bootseal)(?:/.*)?"
)


class StateError(Exception):
    """A place that cannot be kept on the data partition; the message says why, and what can be."""


def places(declared: str) -> tuple[str, ...]:
    """Return the places that BOOTSEAL_STATE declares, sorted.

    Args:
        declared: Absolute paths of directories, and `/etc/machine-id`, with spaces between.

    Raises:
        StateError: One of them cannot be kept, is there twice, or is inside of another one.
    """
    found: list[str] = []
    for place in sorted(declared.split()):
        if why := refusal(place):
            raise StateError(f"BOOTSEAL_STATE names {place[:_LONGEST]!r}: {why}")
        if place in found:
            raise StateError(f"BOOTSEAL_STATE names {place} twice")
        if outer := next((each for each in found if place.startswith(f"{each}/")), ""):
            raise StateError(f"BOOTSEAL_STATE names {place}, which is in {outer}: leave it out")
        found.append(place)
    return tuple(found)


def refusal(place: str) -> str:
    """Return why a place cannot be kept on the data partition; "" when it can.

    What is there is encrypted, and nothing says who wrote it. Refused are places in which programs
    known here look for code, for rights or for what to start; what a product's own service makes of
    what it reads in its directory is not known here.

    >>> refusal("/var/lib/app"), refusal("/etc/systemd/system")[:26]
    ('', 'what is there could decide')
    """
    if len(place) > _LONGEST or not _PLACE.fullmatch(place):
        return (
            "expected an absolute path of at most 200 characters, each part of letters, digits and"
            " _ . + - that begins with a letter or a digit"
        )
    if place == MACHINE_ID or (_ALLOWED.fullmatch(place) and not _CODE.fullmatch(place)):
        return ""
    return (
        "what is there could decide which code runs or who may log in, and nothing signs the data"
        " partition. It can keep /etc/machine-id, /etc/systemd/network,"
        " /etc/NetworkManager/system-connections, /var/log, and directories in /var/lib, /var/log,"
        " /var/cache and /var/spool except those of package managers, updaters, containers, virtual"
        " machines, users, cron and systemd (of which /var/lib/systemd/timesync can be kept)"
    )


def escaped(place: str) -> str:
    r"""Return the name of the mount unit of a place, as systemd-escape makes it.

    >>> escaped("/var/lib/my-app")
    'var-lib-my\\x2dapp.mount'
    """
    name = place.strip("/").replace("-", "\\x2d").replace("+", "\\x2b")
    return f"{name.replace('/', '-')}.mount"


def install(declared: str, root: Path) -> None:
    """Write what keeps the declared places into a root file system, whatever the umask.

    Every directory has a mount unit, which local-fs.target wants; those in /etc are made, for the
    root is read-only.

    Args:
        declared: See `places`.
        root: Directory with the root file system.

    Raises:
        StateError: See `places`.
        OSError: Something else is in the way.
    """
    found = places(declared)
    if found:
        _write(root / PLACES_FILE, "".join(f"{place}\n" for place in found))
    for place in (each for each in found if each != MACHINE_ID):
        name = escaped(place)
        _write(root / UNITS / name, _unit(place))
        wanted = root / UNITS / "local-fs.target.wants"
        _directory(wanted)
        (wanted / name).symlink_to(f"../{name}")
        if place.startswith("/etc/"):
            _directory(root / place.lstrip("/"))


def _write(path: Path, text: str) -> None:
    _directory(path.parent)
    path.write_text(text)
    path.chmod(0o644)


def _directory(path: Path) -> None:
    for each in (*reversed(path.parents), path):
        if not each.is_dir():
            each.mkdir()
            each.chmod(0o755)


def _unit(place: str) -> str:
    # Networks come up as soon as they can, without waiting for local file systems.
    network = place.startswith("/etc/")
    return "\n".join(
        [
            "[Unit]",
            f"Description=State of the product in {place}",
            "Requires=bootseal-state.service",
            # So that it is unmounted before what it is on.
            "After=bootseal-state.service data.mount",
            "PartOf=bootseal-state.service",
            *(["Wants=network-pre.target", "Before=network-pre.target"] if network else []),
            "",
            "[Mount]",
            f"What={LINKS}{place}",
            f"Where={place}",
            "Type=none",
            f"Options={OPTIONS}",
            "",
        ]
    )
