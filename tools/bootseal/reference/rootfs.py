# SPDX-License-Identifier: MIT
"""The root file system: the packages' files without what a device never reads, and the layer's."""

from __future__ import annotations

import fnmatch
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import device, proc, state
from bootseal.assembly import layer, verity
from bootseal.errors import ToolError
from bootseal.reference import cache, modules

if TYPE_CHECKING:
    from bootseal.assembly.layer import Installed, Layer
    from bootseal.assembly.verity import Verity
    from bootseal.reference.kernel import Kernel
    from bootseal.reference.packages import Packages

IMAGE: Final = "root.erofs"
TREE: Final = "root.verity"
FACTS: Final = "verity.json"
POLICY_KEY: Final = "usr/lib/systemd/tpm2-pcr-public-key.pem"
ESCROW: Final = "usr/lib/bootseal/escrow.crt"
AGENT: Final = "etc/bootseal/agent.toml"
CLOUD_CA: Final = "etc/bootseal/cloud-ca.pem"
UPDATE_CA: Final = "usr/lib/bootseal/update-ca.crt"
APPLICATIONS: Final = "etc/verity.d/bootseal-app.crt"
RAUC: Final = "etc/rauc/system.conf"
DEVELOPMENT_MARK: Final = "usr/lib/bootseal/development"
HOSTNAME: Final = "bootseal"
STATE: Final = f"{state.MACHINE_ID} /var/lib/product"
"""What the reference device keeps, as BOOTSEAL_STATE declares it for a product."""
WATCHDOG: Final = 60
"""Seconds after which a system that hangs is restarted, as BOOTSEAL_WATCHDOG says for a product.
Debian's kernel has no driver for a watchdog of QEMU's, so it is the kernel's own."""
BROKER: Final = "iot.bootseal.test"

# Beyond those of the initramfs: what an encrypted partition needs (the crypto API asks for
# algorithms by name, systemd-cryptsetup for the socket interface), the TPM, and what RAUC reads a
# bundle through.
MODULES: Final = (
    "aes-ce-blk", "af_alg", "algif_hash", "algif_skcipher", "autofs4", "dm-crypt", "dm-verity",
    "erofs", "loop", "nbd", "overlay", "sha2-ce", "sha512-ce", "squashfs", "tpm_tis",
    "virtio_balloon", "virtio_blk", "virtio_mmio", "virtio_net", "virtio-rng", "xts",
)  # fmt: skip

_PYTHON_LEFT_OUT: Final = (
    "__phello__", "_pydecimal.py", "_pyrepl", "asyncio", "ctypes", "curses", "dbm", "doctest.py",
    "ensurepip", "ftplib.py", "html", "idlelib", "imaplib.py", "multiprocessing", "pdb.py",
    "pydoc.py", "pydoc_data", "smtplib.py", "sqlite3", "sysconfig", "tarfile.py", "test",
    "turtle.py", "unittest", "venv", "wsgiref", "xml", "xmlrpc", "zoneinfo",
    *(
        f"lib-dynload/{name}*"
        for name in (
            "_asyncio", "_codecs_", "_ctypes", "_curses", "_dbm", "_decimal", "_sqlite3", "_test",
            "_xxtest", "_zoneinfo", "readline", "xx",
        )
    ),
)  # fmt: skip

# Patterns match whole paths, `*` across directories. Nothing on the device reads documentation,
# nobody logs in, and package management has no place on a read-only root.
_LEFT_OUT: Final = (
    "boot/*", "etc/apt", "etc/cron.d", "etc/dpkg", "etc/init.d", "etc/initramfs-tools",
    "etc/kernel", "etc/pam.d", "etc/rc?.d", "etc/ssh", "etc/update-motd.d", "usr/bin/busybox",
    "usr/games", "usr/include", "usr/lib/dracut", "usr/lib/kernel", "usr/lib/klibc*",
    "usr/lib/linux-image-*", "usr/lib/modules", "usr/lib/mime", "usr/lib/pcrlock.d",
    "usr/lib/systemd/catalog", "usr/lib/systemd/network", "usr/lib/udev/hwdb.d",
    "usr/share/*", "usr/src", "var/*",
    "etc/modules-load.d/modules.conf", "etc/profile.d/*systemd*",
    # A prompt on the console is the layer's own unit, and only in development images.
    "*/systemd-getty-generator", "*getty*.service", "*/getty*.target",
    # Programs of D-Bus, GLib and init scripts that nothing on the device starts.
    "usr/bin/dbus-[cmru]*", "usr/bin/deb-systemd-*", "usr/lib/*/glib-2.0", "usr/lib/dbus-1.0",
    "usr/sbin/invoke-rc.d", "usr/sbin/service", "usr/sbin/update-rc.d",
    # What is started is the layer's preset's to say.
    "*/system-preset/*.preset",
    # Of Python, what the agent does not import.
    *(f"usr/lib/python3.*/{name}" for name in _PYTHON_LEFT_OUT),
    "usr/bin/py3*", "usr/bin/pydoc*", "usr/bin/pygettext*", "usr/bin/pdb3*",
    "usr/lib/python3/dist-packages/*-info",
    "usr/lib/valgrind",
)  # fmt: skip

_BUS: Final = (
    "usr/share/dbus-1/system.conf",
    "usr/share/dbus-1/system.d/org.freedesktop.systemd1.conf",
    "usr/share/dbus-1/system-services/de.pengutronix.rauc.service",
)
_DIRECTORIES: Final = ("data", "dev", "proc", "run", "sys", "tmp", "var")
_LINKS: Final = {
    "etc/mtab": "../proc/self/mounts",
    "usr/bin/awk": "mawk",
    # Where the layer's openssl.cnf has it: Debian's library is one directory further down.
    "usr/lib/pkcs11": "aarch64-linux-gnu/pkcs11",
    "usr/lib/systemd/system/default.target": "multi-user.target",
}
# What Debian's maintainer scripts would write, and what little of usr/share is read.
_COPIES: Final = {
    **{name: name for name in _BUS},
    "etc/group": "usr/share/base-passwd/group.master",
    "etc/passwd": "usr/share/base-passwd/passwd.master",
    "etc/profile": "usr/share/base-files/profile",
    "etc/nsswitch.conf": "usr/share/libc-bin/nsswitch.conf",
}
APPS: Final = {
    "usr/lib/bootseal/apps.d/hello.conf": "MINIMUM=1.1.0\nHEALTH=5\n",
    "usr/lib/systemd/system/bootseal-app@hello.service.d/limits.conf": (
        "[Service]\nMemoryMax=32M\nTasksMax=16\n"
    ),
}
"""The one application that may run, and its limits, as the layer makes them of BOOTSEAL_APPS."""
_TEXTS: Final = {
    "etc/hostname": f"{HOSTNAME}\n",
    # Servers on the test bench, at the address that QEMU's network leads to.
    "etc/hosts": (
        "127.0.0.1 localhost\n"
        f"10.0.2.100 {BROKER} credentials.bootseal.test updates.bootseal.test\n"
    ),
    **APPS,
    # Empty means: known to be unknown; systemd makes one for each boot and writes nothing.
    "etc/machine-id": "",
    "usr/lib/systemd/system.conf.d/50-bootseal-watchdog.conf": (
        f"[Manager]\nRuntimeWatchdogSec={WATCHDOG}\n"
    ),
    # Groups of what uses the identity key by itself: of its token, and of the TPM that has it.
    "usr/lib/sysusers.d/bootseal-token.conf": "g bootseal-token -\n",
    "usr/lib/sysusers.d/tss.conf": 'u tss - "TPM"\n',
    "etc/resolv.conf": "# No name server: /etc/hosts has every name that this device asks for.\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The finished root file system and its hash tree."""

    image: Path
    tree: Path
    verity: Verity


def build(
    layer_files: Layer,
    packages: Packages,
    kernel: Kernel,
    *,
    vendor: Mapping[str, bytes],
    login: bool,
    epoch: int,
) -> Root:
    """Make the root file system and its hash tree, or take the cached ones of the same inputs.

    Args:
        layer_files: The layer.
        packages: The unpacked packages.
        kernel: Whose modules to install.
        vendor: The vendor's public keys and certificates, and what is made for this device, by
            place: `POLICY_KEY`, `ESCROW`, `UPDATE_CA`, `APPLICATIONS`, `RAUC`.
        login: Whether to offer a root shell on the serial console.
        epoch: Modification time of every file, seconds since 1970.

    Raises:
        UsageError: A file of the layer has no place.
        ToolError: A program that makes it failed.
    """
    installed = (*layer_files.device_files(login=login), *layer_files.agent())
    masked = layer_files.masked_units()
    inputs = {
        "packages": packages.key,
        "layer": {str(f.target): device.digest_file(f.source) for f in installed},
        "masked": masked,
        "state": STATE,
        "vendor": {name: data.hex() for name, data in vendor.items()},
        "login": login,
        "epoch": epoch,
    }

    def make(directory: Path) -> None:
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            tree = Path(scratch) / "root"
            copy(packages.tree, tree)
            add_modules(packages.tree, kernel, tree)
            add_files(tree, installed, vendor, login=login)
            state.install(STATE, tree)
            configure(packages.tree, tree, masked, epoch=epoch)
            verity.make_erofs(tree, directory / IMAGE, epoch=epoch)
        found = verity.format_tree(directory / IMAGE, directory / TREE)
        verity.save(found, directory / FACTS)

    code = (__file__, layer.__file__, state.__file__, modules.__file__, verity.__file__)
    directory, _ = cache.entry("root", cache.key(inputs, *code), make)
    return Root(
        image=directory / IMAGE, tree=directory / TREE, verity=verity.load(directory / FACTS)
    )


def left_out(path: str) -> bool:
    """Tell whether a path of the packages, without leading slash, stays off the device.

    >>> left_out("usr/share/doc"), left_out("usr/bin/bash")
    (True, False)
    """
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in _LEFT_OUT)


def copy(source: Path, target: Path) -> None:
    """Copy the unpacked packages without what is left out."""

    def ignore(directory: str, names: list[str]) -> list[str]:
        relative = Path(directory).relative_to(source)
        return [name for name in names if left_out(str(relative / name))]

    shutil.copytree(source, target, symlinks=True, ignore=ignore)
    for path in (target / "usr/lib/systemd").rglob("*"):
        # Aliases of units that were left out; absolute links are masks such as /dev/null.
        if path.is_symlink() and not path.exists() and not path.readlink().is_absolute():
            path.unlink()


def add_modules(packages: Path, kernel: Kernel, tree: Path) -> None:
    """Install the kernel modules the device uses, with plain permissions whatever the umask."""
    files = modules.closure(MODULES, kernel.dependencies)
    modules.install(packages, kernel.release, files, tree)
    modules.index(packages, kernel.release, tree)
    top = tree / modules.DIRECTORY
    for path in (top, *top.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def add_files(
    tree: Path, installed: Iterable[Installed], vendor: Mapping[str, bytes], *, login: bool
) -> None:
    """Install the layer's files, the vendor's public keys and the mark of development images."""
    for file in installed:
        write(tree / file.target, file.source.read_bytes(), mode=file.mode)
    for name, data in vendor.items():
        write(tree / name, data)
    if login:
        write(tree / DEVELOPMENT_MARK, b"")


def configure(packages: Path, tree: Path, masked: Iterable[str], *, epoch: int) -> None:
    """Do what the packages' scripts would have done on the device.

    Args:
        packages: The unpacked packages.
        tree: The root file system.
        masked: The units that never start.
        epoch: When accounts were made, seconds since 1970.

    Raises:
        ToolError: systemd's tools refused the tree.
    """
    for name in _DIRECTORIES:
        make_directory(tree / name)
    for name, origin in _COPIES.items():
        write(tree / name, (packages / origin).read_bytes())
    for name, text in _TEXTS.items():
        write(tree / name, text.encode())
    for name, target in _LINKS.items():
        (tree / name).unlink(missing_ok=True)
        (tree / name).symlink_to(target)
    for unit in masked:
        path = tree / "etc/systemd/system" / unit
        make_directory(path.parent)
        path.symlink_to("/dev/null")
    for path in (tree / "usr/lib/sysusers.d").iterdir():
        # systemd 252 of Debian 12 skips the lines of accounts that newer ones lock twice.
        path.write_text(re.sub("^u!", "u", path.read_text(), flags=re.MULTILINE))
    made = {"SOURCE_DATE_EPOCH": str(epoch)}
    proc.run("systemd-sysusers", [f"--root={tree}"], env=made, timeout=120)
    for path in (*(tree / "etc").glob("*-"), tree / "etc/.pwd.lock"):
        # What it keeps of the files before; newer ones keep more.
        path.unlink(missing_ok=True)
    for path in (tree / "etc").glob("*shadow*"):
        # It leaves them without any permission, which only root's mkfs.erofs would not mind.
        path.chmod(0o600)
    proc.run("systemctl", [f"--root={tree}", "preset-all"], timeout=120)


def write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file of the tree, with its directory.

    Raises:
        ToolError: Something that is not an ordinary file is in the way.
    """
    if path.is_symlink():
        raise ToolError(f"{path} is a symbolic link in the packages and would be written through")
    make_directory(path.parent)
    path.write_bytes(data)
    path.chmod(mode)


def make_directory(path: Path) -> None:
    """Make a directory of the tree and those it is in, whatever the umask; one that is there stays.

    Raises:
        OSError: Something else is in the way.
    """
    for each in (*reversed(path.parents), path):
        if not each.is_dir():
            each.mkdir()
            each.chmod(0o755)
