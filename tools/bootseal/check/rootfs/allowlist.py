# SPDX-License-Identifier: MIT
"""What a root file system may hold: a small TOML file, and what holds without one."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, UsageError
from bootseal.files import read_bounded
from bootseal.formats.kinds.kind import PUBLIC_KEY, TEXT
from bootseal.formats.kinds.recognise import checked
from bootseal.keys import public

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.public import PublicKey

# What Debian and OpenEmbedded install with these bits for users to change their own account, to
# mount what fstab lets them, and to be asked for a password.
_SETUID: Final = (
    "usr/bin/chage", "usr/bin/chfn", "usr/bin/chsh", "usr/bin/crontab", "usr/bin/expiry",
    "usr/bin/gpasswd", "usr/bin/mount", "usr/bin/newgrp", "usr/bin/passwd", "usr/bin/ssh-agent",
    "usr/bin/su", "usr/bin/sudo", "usr/bin/umount", "usr/bin/wall", "usr/bin/write",
    "usr/lib/dbus-1.0/dbus-daemon-launch-helper", "usr/libexec/dbus-daemon-launch-helper",
    "usr/lib/openssh/ssh-keysign", "usr/libexec/ssh-keysign", "usr/sbin/unix_chkpwd",
    "bin/mount", "bin/su", "bin/umount",
    # OpenEmbedded's names for programs that several packages have, and for those of busybox.
    "bin/busybox.suid", "bin/mount.util-linux", "bin/su.shadow", "bin/su.util-linux",
    "bin/umount.util-linux", "usr/bin/busybox.suid", "usr/bin/chfn.shadow",
    "usr/bin/chfn.util-linux", "usr/bin/chsh.shadow",
    "usr/bin/chsh.util-linux", "usr/bin/mount.util-linux", "usr/bin/newgrp.shadow",
    "usr/bin/passwd.shadow", "usr/bin/su.shadow", "usr/bin/su.util-linux",
    "usr/bin/umount.util-linux", "usr/bin/wall.util-linux", "usr/bin/write.util-linux",
)  # fmt: skip

# What both install with cap_net_raw.
_CAPABILITIES: Final = ("bin/ping", "bin/ping.iputils", "usr/bin/ping", "usr/bin/ping.iputils")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowlist:
    """What a root file system may hold.

    Attributes:
        setuid: Patterns of files that may be setuid or setgid; `*` matches slashes, too.
        capabilities: Patterns of files that may have file capabilities.
        world_writable: Patterns of what everyone may write to.
        private_keys: Patterns of files that may hold private keys.
        module_key: The key that must have signed every kernel module; None asks for some key.
    """

    setuid: tuple[str, ...] = _SETUID
    capabilities: tuple[str, ...] = _CAPABILITIES
    world_writable: tuple[str, ...] = ()
    private_keys: tuple[str, ...] = ()
    module_key: PublicKey | None = None


def allows(patterns: tuple[str, ...], path: str) -> bool:
    """Tell whether one of the patterns matches a path without leading slash.

    >>> allows(("usr/bin/s*",), "usr/bin/su"), allows((), "usr/bin/su")
    (True, False)
    """
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def load(path: Path) -> Allowlist:
    """Read an allowlist; `setuid` and `capabilities` add to what is allowed anyway.

    Args:
        path: A TOML file with any of `setuid`, `capabilities`, `world-writable`, `private-keys`
            (lists of patterns) and `module-key` (a PEM public key, next to the file).

    Raises:
        UsageError: The file is not there, or not such a file.
        FormatError: The key is none.
    """
    try:
        document = tomllib.loads(checked(read_bounded(path), TEXT, str(path)).decode())
    except FileNotFoundError:
        raise UsageError(f"there is no allowlist {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    known = {field.name.replace("_", "-") for field in fields(Allowlist)}
    if unknown := sorted(document.keys() - known):
        raise UsageError(f"{path} has {unknown[0]!r}: known are {', '.join(sorted(known))}")
    key = document.get("module-key")
    if key is not None and not isinstance(key, str):
        raise UsageError(f"{path}: module-key is not a file name")
    return Allowlist(
        setuid=_SETUID + _patterns(document, "setuid", path),
        capabilities=_CAPABILITIES + _patterns(document, "capabilities", path),
        world_writable=_patterns(document, "world-writable", path),
        private_keys=_patterns(document, "private-keys", path),
        module_key=None if key is None else _key(path.parent / key),
    )


def _patterns(document: dict[str, object], name: str, path: Path) -> tuple[str, ...]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise UsageError(f"{path}: {name} is not a list of patterns")
    return tuple(each.lstrip("/") for each in found)


def _key(path: Path) -> PublicKey:
    try:
        return public.from_pem(checked(read_bounded(path), PUBLIC_KEY, str(path)))
    except FileNotFoundError:
        raise UsageError(f"there is no module key {path}") from None
    except FormatError as error:
        raise FormatError(f"{path}: {error.message}", hint=error.hint) from error
