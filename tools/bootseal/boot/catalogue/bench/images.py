# SPDX-License-Identifier: MIT
"""Application images for a device: good ones, and others that its maker or someone else could make.

They lie on a disk that the device can read, as files `NAME.raw`. Their only program is the device's
own busybox, out of its initramfs, so that it runs wherever the device does.
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.app import build
from bootseal.app.build import Application
from bootseal.app.sign import Signing
from bootseal.boot.attacks import forge
from bootseal.formats import cpio, gpt
from bootseal.formats.app.layout import SIGNATURE_SIZE
from bootseal.formats.app.release import Release
from bootseal.keys import certificate
from bootseal.keys import profile as profiles
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.progress import Silent
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.formats.gpt import GptEntry

UUID: Final = "61707073-0000-4000-8000-000000000000"
"""Of the file system on the disk."""
NAME: Final = "hello"
"""The application that the reference device allows."""
_ENTRY: Final = "usr/bin/start"
_SHELL: Final = "usr/bin/busybox"
_TIMEOUT: Final = 300.0
_QUIET: Final = "while :; do sleep 3600; done\n"


class Maker:
    """Makes images for a device.

    Args:
        workspace: The device.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._place = workspace.work / "applications"
        self._files = self._place / "files"
        self._files.mkdir(parents=True)
        packed = workspace.device.artefact(workspace.directory, "initramfs").read_bytes()
        self._busybox = cpio.content(gzip.decompress(packed), _SHELL)

    def image(
        self,
        file: str,
        version: str,
        *,
        name: str = NAME,
        script: str = _QUIET,
        keys: Path | None = None,
    ) -> None:
        """Make an image and sign it.

        Args:
            file: Its name on the disk, without suffix.
            version: Its version.
            name: The application.
            script: What its program does, for busybox's shell.
            keys: Directory of the keys to sign with; None for those of the device's maker.
        """
        keys = keys or self._workspace.keys
        own = certificate.read(key_directory.certificate_of(keys, Role.APP))
        signing = Signing(signer=key_directory.signer(keys, Role.APP), certificate=own)
        made = Application(
            source=self._tree(file, script),
            release=Release(name=name, version=version),
            entry=f"/{_ENTRY}",
            epoch=self._workspace.device.epoch,
        )
        build.build(made, self.path(file), signing.partition, Silent())

    def unsigned(self, file: str, of: str) -> None:
        """Take the signature out of an image."""
        self._changed(file, of, lambda data, parts: _with(data, parts[2], bytes(SIGNATURE_SIZE)))

    def signature_of(self, file: str, of: str, other: str) -> None:
        """Give an image the signature of another one."""
        data = self.path(other).read_bytes()
        place = _partitions(data)[2]
        signature = data[place.offset : place.end]
        self._changed(file, of, lambda data, parts: _with(data, parts[2], signature))

    def first_block(self, file: str, of: str) -> None:
        """Flip a bit in the first block of the root."""
        self._changed(file, of, lambda data, parts: forge.flip_bit(data, parts[0].offset + 1024))

    def middle(self, file: str, of: str) -> None:
        """Flip a bit in the middle of the root."""
        self._changed(
            file,
            of,
            lambda data, parts: forge.flip_bit(data, parts[0].offset + parts[0].size // 2),
        )

    def more_partitions(self, file: str, of: str) -> None:
        """Add a fourth partition, which nothing signs."""

        def change(data: bytes, parts: tuple[GptEntry, ...]) -> bytes:
            last = replace(parts[2], number=4, name="more", type=parts[0].type, size=SECTOR)
            signature = replace(parts[2], size=parts[2].size - SECTOR)
            last = replace(last, offset=signature.end, uuid=parts[0].uuid[::-1])
            header = gpt.parse_header(data[SECTOR : 2 * SECTOR])
            tables = gpt.emit((*parts[:2], signature, last), header.disk, len(data))
            for offset, table in tables.items():
                data = data[:offset] + table + data[offset + len(table) :]
            return data

        self._changed(file, of, change)

    def other_keys(self) -> Path:
        """Return the keys of another maker."""
        keys = self._place / "keys"
        key_directory.generate(profiles.load(profiles.find("dev")), keys)
        return keys

    def path(self, file: str) -> Path:
        """Return where an image is, here."""
        return self._files / f"{file}.raw"

    def plug(self) -> None:
        """Put the images onto a disk, and plug it in."""
        image = self._workspace.work / "applications.img"
        options = ["-U", UUID, "--all-root", "-T", "0", "--quiet"]
        proc.run("mkfs.erofs", [*options, image, self._files], timeout=_TIMEOUT)
        self._workspace.medium = image

    def _tree(self, file: str, script: str) -> Path:
        tree = self._place / file
        (tree / "usr/bin").mkdir(parents=True)
        for place, content in (
            (_SHELL, self._busybox),
            (_ENTRY, f"#!/{_SHELL} sh\n{script}".encode()),
        ):
            (tree / place).write_bytes(content)
            (tree / place).chmod(0o755)
        return tree

    def _changed(
        self, file: str, of: str, change: Callable[[bytes, tuple[GptEntry, ...]], bytes]
    ) -> None:
        data = self.path(of).read_bytes()
        self.path(file).write_bytes(change(data, _partitions(data)))


def _partitions(data: bytes) -> tuple[GptEntry, ...]:
    header = gpt.parse_header(data[SECTOR : 2 * SECTOR])
    return gpt.parse_entries(data[header.entries :][: header.entries_size], header)


def _with(data: bytes, place: GptEntry, content: bytes) -> bytes:
    return data[: place.offset] + content.ljust(place.size, b"\0") + data[place.end :]
