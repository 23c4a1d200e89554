# SPDX-License-Identifier: MIT
"""`bootseal reference build`: from packages and the layer's files to a device directory."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import device, proc
from bootseal.assembly import device as assembly
from bootseal.assembly.layer import Layer
from bootseal.errors import ToolError, UsageError
from bootseal.jobs import plan
from bootseal.keys import profile as profiles
from bootseal.keys import server
from bootseal.keys.directory import directory as key_directory
from bootseal.reference import cache, initramfs, kernel, packages, rootfs, tfa, uboot
from bootseal.reference.apt import Apt
from bootseal.reference.assemble import NAME, Parts, System, assemble
from bootseal.reference.sources import CROSS_COMPILE
from bootseal.units import MIB, format_size

if TYPE_CHECKING:
    from bootseal.device import Device
    from bootseal.progress import Progress

# Time stamp of everything inside the images when SOURCE_DATE_EPOCH does not say: 2026-01-01.
DEFAULT_EPOCH: Final = 1_767_225_600
KEYS: Final = "keys"
VERSION: Final = "1.0.0"
"""Version of the release when nobody names one."""
_DIGITS: Final = 20
_MAX_EPOCH: Final = (1 << 32) - 1
"""The last time that every file system of a device can have."""
_PROFILE: Final = "dev"
_STAGING: Final = ".building-"
_ROOM: Final = 300 * MIB
_ROOM_FOR_NEW_CACHE: Final = 1536 * MIB
_TOOLS: Final = (
    "apt-config", "apt-get", "bc", "bison", "depmod", "dpkg", "dpkg-deb", "dtc", "flex", "gawk",
    "gcc", "make", "mkfs.erofs", "mkimage", "patch", "sfdisk", "systemctl", "systemd-sysusers",
    "tar", "veritysetup",
    f"{CROSS_COMPILE}gcc",
)  # fmt: skip


class _Stopped(Exception):
    """The other thread failed or was interrupted."""


class _Stoppable:
    """Progress of work in a second thread, which ends at its next step when asked to."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the work at its next step."""
        self._stopped.set()

    def step(self, title: str) -> AbstractContextManager[None]:
        """Enter a step, unless the work is to end."""
        if self._stopped.is_set():
            raise _Stopped
        return self._progress.step(title)

    def note(self, text: str) -> None:
        """Pass a note on."""
        self._progress.note(text)


def build(
    directory: Path,
    *,
    progress: Progress,
    layer: Path | None = None,
    keys: Path | None = None,
    login: bool = True,
    rollback_index: int = 1,
    version: str = VERSION,
) -> Device:
    """Build the reference device: a boot ROM, two boot loaders, and two slots of one system.

    Args:
        directory: Receives the device; new, empty, or a device that is built anew.
        progress: Told about each step.
        layer: Directory of meta-secureboot; None finds it.
        keys: Key directory to sign with; None uses, and on the first build makes, development
            keys in `directory`/keys.
        login: Whether to offer a root shell on the serial console.
        rollback_index: Security version, 0 to 63. Once a release was found good on a device, those
            with a lower one no longer start there.
        version: Version of the release, which the device's agent compares with those of jobs: one
            to four numbers with points.

    Returns:
        The device, as written to `device.json`.

    Raises:
        UsageError: The directory holds something else, or keys or layer files are missing.
        ToolError: A program is missing or failed, or the network or the disk space is.
    """
    epoch, files = _epoch(), Layer.find(layer)
    _check_version(version)
    _check_tools()
    with _errors_of_disks(directory), _claimed(directory):
        _check_space(directory)
        signing_keys = keys or _own_keys(directory / KEYS, progress)
        vendor = _vendor(files, signing_keys) | _agent(files, directory, version, epoch)
        made = _parts(files, signing_keys, progress, vendor=vendor, login=login, epoch=epoch)
        parts = dataclasses.replace(made, rollback_index=rollback_index)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=directory))
        try:
            built = assemble(parts, staging, progress)
            _publish(built, staging, directory)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return built


def _parts(
    layer: Layer,
    keys: Path,
    progress: Progress,
    *,
    vendor: Mapping[str, bytes],
    login: bool,
    epoch: int,
) -> Parts:
    """Make what depends on packages and layer; all but the boot loaders in a second thread."""
    source = Apt.prepare()
    source.update(progress)
    other = _Stoppable(progress)
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(_system, source, layer, other, vendor, login, epoch)
        try:
            boot_loader = uboot.build(source, layer, epoch=epoch, progress=progress)
            trusted = tfa.build(source, layer, epoch=epoch, progress=progress)
            system = future.result()
        except BaseException:
            other.stop()
            raise
    if boot_loader.cached:
        progress.note(f"U-Boot {boot_loader.package.version}: unchanged, taken from the cache")
    if trusted.cached:
        progress.note(f"TF-A {trusted.packages[0].version}: unchanged, taken from the cache")
    return Parts(
        layer=layer,
        uboot=boot_loader,
        tfa=trusted,
        system=system,
        keys=keys,
        epoch=epoch,
    )


def _vendor(layer: Layer, keys: Path) -> dict[str, bytes]:
    """Return what of the vendor's keys is installed on the device, and the updates it takes."""
    certificates = {
        place: key_directory.certificate_of(keys, role).read_bytes()
        for place, role in (
            (rootfs.ESCROW, profiles.Role.ESCROW),
            (rootfs.UPDATE_CA, profiles.Role.UPDATE_CA),
            (rootfs.APPLICATIONS, profiles.Role.APP),
        )
    }
    return {
        rootfs.POLICY_KEY: key_directory.find(keys, profiles.Role.POLICY).public_key.pem,
        rootfs.RAUC: layer.rauc(NAME),
        **certificates,
    }


def _agent(layer: Layer, directory: Path, version: str, epoch: int) -> dict[str, bytes]:
    """Return the configuration of the update agent, for servers on the test bench."""
    configuration = layer.agent_configuration(host=rootfs.BROKER, compatible=NAME, version=version)
    return {
        rootfs.AGENT: configuration,
        rootfs.CLOUD_CA: server.Authority.made(directory, epoch).pem,
    }


def _check_version(version: str) -> None:
    if re.fullmatch(plan.VERSION, version, re.ASCII) is None:
        raise UsageError(
            f"the version is {version!r}: expected one to four numbers, such as {VERSION}",
            hint="--version 2.1.0",
        )


def _system(
    source: Apt,
    layer: Layer,
    progress: Progress,
    vendor: Mapping[str, bytes],
    login: bool,  # noqa: FBT001 - called through a thread pool
    epoch: int,
) -> System:
    """Make what comes out of Debian's binary packages."""
    unpacked = packages.fetch(source, progress)
    with progress.step("kernel and initramfs made"):
        linux = kernel.build(unpacked)
        ramdisk = initramfs.build(layer, unpacked, linux, epoch=epoch)
    with progress.step("root file system and its hash tree made"):
        root = rootfs.build(layer, unpacked, linux, vendor=vendor, login=login, epoch=epoch)
    return System(packages=unpacked, kernel=linux, initramfs=ramdisk, root=root)


def _epoch() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH", str(DEFAULT_EPOCH))
    if not text.isascii() or not text.isdigit() or int(text[:_DIGITS]) > _MAX_EPOCH:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {text[:80]!r}: expected seconds since 1970, at most {_MAX_EPOCH}"
        )
    return int(text)


def _check_tools() -> None:
    """Name every missing program at once rather than one after each fix."""
    missing = []
    for tool in _TOOLS:
        try:
            proc.find_tool(tool)
        except ToolError:
            missing.append(tool)
    if missing:
        raise ToolError(
            f"programs that the reference build needs are not installed: {', '.join(missing)}",
            hint="bootseal doctor  (names the package each comes in)",
        )


def _check_space(directory: Path) -> None:
    """Refuse to begin what cannot end: apt, for one, does not notice a full disk and waits."""
    store_of_parts = cache.directory()
    fresh = not store_of_parts.is_dir()
    store_of_parts.mkdir(parents=True, exist_ok=True)
    for path, needed in (
        (directory, _ROOM),
        (store_of_parts, _ROOM_FOR_NEW_CACHE if fresh else _ROOM),
    ):
        free = shutil.disk_usage(path).free
        if free < needed:
            raise ToolError(
                f"{path} has {format_size(free)} free: the build needs {format_size(needed)}",
                hint="BOOTSEAL_CACHE=DIR puts the cache elsewhere",
            )


@contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """Take the directory for this build alone, and clear away what a killed build left.

    Raises:
        UsageError: It holds something that is not a device, or another build is writing to it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in directory.iterdir() if not path.name.startswith(_STAGING)}
    if device.FILE_NAME not in names and names - {KEYS, server.BENCH, *assembly.FILES}:
        raise UsageError(
            f"{directory} is neither empty nor a built device, and is left unchanged",
            hint="name a new directory",
        )
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another build is writing to {directory}") from None
        for stale in directory.glob(f"{_STAGING}*"):
            shutil.rmtree(stale, ignore_errors=True)
        yield
    finally:
        os.close(handle)


@contextmanager
def _errors_of_disks(directory: Path) -> Iterator[None]:
    """Say in one sentence that a disk is full or not writable."""
    try:
        yield
    except shutil.Error as error:
        raise ToolError(f"copying failed: {error.args[0][0][2]}") from error
    except FileExistsError as error:
        raise UsageError(f"{error.filename} exists and is not a directory") from error
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT}:
            raise
        raise ToolError(
            f"{error.strerror} at {error.filename2 or error.filename or directory}:"
            f" the build writes to {directory} and to its cache {cache.directory()}",
            hint="BOOTSEAL_CACHE=DIR puts the cache (about 1 GB) elsewhere",
        ) from error


def _own_keys(directory: Path, progress: Progress) -> Path:
    """Return the device's own key directory, with development keys made when it has none."""
    if not directory.exists():
        with progress.step("DEV keys made: they protect nothing"):
            key_directory.generate(profiles.load(profiles.find(_PROFILE)), directory)
    return directory


def _publish(built: Device, staging: Path, directory: Path) -> None:
    """Move finished files into place; `device.json` comes last and vouches for all of them."""
    (directory / device.FILE_NAME).unlink(missing_ok=True)
    for artefact in built.artefacts.values():
        (staging / artefact.path).replace(directory / artefact.path)
    device.save(built, directory)
