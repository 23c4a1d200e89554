# SPDX-License-Identifier: MIT
"""Which Debian packages the reference device is made from, and their unpacked files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.reference import apt, cache

if TYPE_CHECKING:
    from bootseal.progress import Progress
    from bootseal.reference.apt import Apt, Download

KERNEL: Final = "linux-image-cloud-arm64"

# What the device runs; apt adds what these depend on.
WANTED: Final = (
    KERNEL,
    "base-files", "base-passwd", "bash", "busybox-static", "coreutils", "cryptsetup-bin", "curl",
    "dash", "dbus", "dmsetup", "e2fsprogs", "grep", "kmod", "libc-bin", "libtss2-tcti-device0t64",
    "libtpm2-pkcs11-1", "libubootenv-tool", "mawk", "mosquitto-clients", "mount", "openssl",
    "pkcs11-provider", "python3-minimal", "python3-paho-mqtt", "rauc", "rauc-service", "sed",
    "sqlite3", "systemd", "systemd-cryptsetup", "systemd-repart", "systemd-sysv", "tpm2-tools",
    "udev", "util-linux",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """The unpacked packages.

    Attributes:
        tree: Directory that holds the files of all packages, as a root file system.
        closure: The packages, what they depend on included.
        key: Names exactly this set of packages.
    """

    tree: Path
    closure: tuple[Download, ...]
    key: str


def fetch(source: Apt, progress: Progress) -> Packages:
    """Fetch and unpack the device's packages.

    Raises:
        ToolError: They cannot be fetched or unpacked.
    """
    closure = source.resolve(WANTED)
    key = cache.key({item.file: item.sha256 for item in closure}, __file__, apt.__file__)

    def unpack(directory: Path) -> None:
        with progress.step(f"{len(closure)} Debian packages fetched"):
            archives = source.download(WANTED, closure)
        with progress.step("packages unpacked"):
            apt.extract(archives, directory / "tree")

    directory, _ = cache.entry("packages", key, unpack)
    return Packages(tree=directory / "tree", closure=closure, key=key)
