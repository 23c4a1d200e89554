# SPDX-License-Identifier: MIT
"""A built reference device, which BOOTSEAL_DEVICE names, and a copy of its disk to write to."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bootseal import device as devices
from bootseal import proc
from bootseal.boot.attacks.data_volume import PARTITION
from bootseal.boot.scenario.workspace import Overlay, Workspace
from bootseal.check import disk as disk_check
from bootseal.check import expected as target
from bootseal.disk import image, partitions
from bootseal.errors import FormatError
from bootseal.progress import Silent
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bootseal.check.disk import DiskVerdict
    from bootseal.check.expected import Expected
    from bootseal.device import Device


class RawDisk(Overlay):
    """A raw disk edited by partition name, whose changes can be taken back."""

    def __init__(self, path: Path, device: Device) -> None:
        super().__init__(path)
        self._device = device
        self._old: list[tuple[int, bytes]] = []

    def size(self, partition: str) -> int:
        if not partition:
            return self.path.stat().st_size
        return self._device.partition(partition).size

    def read(self, partition: str, offset: int, size: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self._place(partition, offset, size))
            return file.read(size)

    def write(self, partition: str, offset: int, data: bytes) -> None:
        place = self._place(partition, offset, len(data))
        with self.path.open("r+b") as file:
            file.seek(place)
            self._old.append((place, file.read(len(data))))
            file.seek(place)
            file.write(data)

    @property
    def written(self) -> bool:
        """Whether anything is other than it was."""
        with self.path.open("rb") as file:
            for place, data in self._old:
                file.seek(place)
                if file.read(len(data)) != data:
                    return True
        return False

    def restore(self) -> None:
        with self.path.open("r+b") as file:
            while self._old:
                place, data = self._old.pop()
                file.seek(place)
                file.write(data)

    def _place(self, partition: str, offset: int, size: int) -> int:
        if offset < 0 or offset + size > self.size(partition):
            raise FormatError(f"{offset:#x} to {offset + size:#x} leave {partition!r}")
        return offset + (self._device.partition(partition).offset if partition else 0)


class Workbench(Workspace):
    """A scenario's workspace on the raw disk, for attacks that nobody boots."""

    disk: RawDisk

    def __init__(self, device: Device, directory: Path, work: Path, disk: RawDisk) -> None:
        super().__init__(device, directory, directory / "keys", work)
        self.disk = disk

    def check(
        self,
        change: Callable[[Expected], Expected] = lambda target: target,
        *,
        inside: bool = False,
    ) -> DiskVerdict:
        wanted = replace(
            target.of_device(self.directory),
            image=self.disk.path,
            device=self.device,
            slots=self.device.slots,
        )
        wanted = change(wanted)
        with image.opened(wanted.image) as disk:
            return disk_check.check(disk, wanted, Silent(), inside=inside)


@pytest.fixture(scope="session")
def directory() -> Path:
    name = os.environ.get("BOOTSEAL_DEVICE")
    if not name:
        pytest.skip("BOOTSEAL_DEVICE names no built device")
    return Path(name).absolute()


@pytest.fixture(scope="session")
def raw_disk(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> RawDisk:
    device = devices.load(directory)
    path = tmp_path_factory.mktemp("device") / "disk.img"
    original = device.artefact(directory, "disk")
    # What is empty in it stays a hole.
    with image.opened(original) as disk, path.open("wb") as writer:
        for start, end in disk.data(0, disk.size):
            for offset in range(start, end, MIB):
                writer.seek(offset)
                writer.write(disk.read(offset, min(MIB, end - offset)))
        writer.truncate(disk.size)
    return RawDisk(path, device)


@pytest.fixture
def bench(directory: Path, raw_disk: RawDisk, tmp_path: Path) -> Iterator[Workbench]:
    workbench = Workbench(devices.load(directory), directory, tmp_path, raw_disk)
    with workbench.held:
        yield workbench
    raw_disk.restore()


def check_booted(directory: Path, overlay: Path) -> DiskVerdict:
    """Check the disk that a device has written to, and see that a changed copy is refused.

    Args:
        directory: The device.
        overlay: Its disk; QEMU may have it open, when the guest has written everything out.
    """
    raw = overlay.with_suffix(".raw")
    args = ["convert", "-U", "-f", "qcow2", "-O", "raw", str(overlay), str(raw)]
    proc.run("qemu-img", args, timeout=300)
    wanted = replace(target.of_device(directory), image=raw)
    with image.opened(raw) as disk:
        verdict = disk_check.check(disk, wanted, Silent())
        data = partitions.read(disk, disk.size).entry(PARTITION)
    assert data is not None
    with raw.open("r+b") as file:
        file.seek(data.offset + 4096)
        file.write(b"[")
    with image.opened(raw) as disk:
        tampered = disk_check.check(disk, wanted, Silent())
    assert {f.id for f in tampered.errors} - {f.id for f in verdict.errors} == {"disk.data-header"}
    raw.unlink()
    return verdict


def planted_key(directory: Path, overlay: Path, partition: str) -> set[str]:
    """Return what is found once a private key is in a partition, 20 MiB from its start."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    raw = overlay.with_suffix(".raw")
    args = ["convert", "-U", "-f", "qcow2", "-O", "raw", str(overlay), str(raw)]
    proc.run("qemu-img", args, timeout=300)
    with image.opened(raw) as disk:
        entry = partitions.read(disk, disk.size).entry(partition)
    assert entry is not None
    with raw.open("r+b") as file:
        file.seek(entry.offset + 20 * MIB)
        file.write(pem)
    with image.opened(raw) as disk:
        verdict = disk_check.check(disk, replace(target.of_device(directory), image=raw), Silent())
    raw.unlink()
    return {finding.id for finding in verdict.errors}


def said_of_data(verdict: DiskVerdict) -> str:
    """Return the errors of a verdict, and what it says of the stage of the data partition."""
    stages = ("disk.data-provisioned", "disk.data-wiped")
    return "; ".join(f.message for f in verdict.findings if f in verdict.errors or f.id in stages)


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another file system
        shutil.copy(source, target)


@pytest.fixture
def own(directory: Path, tmp_path: Path) -> Path:
    """Return a directory with the device's files, for the results of one run."""
    left_out = shutil.ignore_patterns("matrix", "state", "logs", "tpm")
    shutil.copytree(directory, tmp_path / "device", ignore=left_out, copy_function=link_or_copy)
    return tmp_path / "device"
