# SPDX-License-Identifier: MIT
"""Update bundles for a device: good ones, and others that its maker or someone else could sign.

They are files `NAME.raucb`, for a disk that the device can read or for a server. Those that have to
be refused before anything is written have a root of one block.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import documents, proc
from bootseal.boot.attacks import forge, forge_fit, forge_signed, release
from bootseal.formats import boot_partition
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fit import model as fit_format
from bootseal.formats.update import bundle, cms, manifest
from bootseal.formats.update.der import INTEGER, OID, SEQUENCE, SET, Values
from bootseal.keys import certificate
from bootseal.keys import cms as messages
from bootseal.keys import profile as profiles
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.progress import Silent
from bootseal.update import build, payload
from bootseal.update.build import Identity

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.formats.update.manifest import Manifest

UUID: Final = "62756e64-6c65-4000-8000-000000000000"
"""Of the file system on the disk."""
VERSION: Final = "2.0.0"
_TIMEOUT: Final = 300.0
_BLOCK: Final = 4096
_BOARD: Final = b"other,board\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """What is in the images of a bundle."""

    root: bytes
    tree: bytes
    boot: bytes

    def images(self) -> dict[str, list[bytes]]:
        return {"root": [self.root], "verity": [self.tree], "boot": [self.boot]}

    def small(self) -> _Release:
        """Return it with a root and a tree of one block, which nothing looks at."""
        return dataclasses.replace(self, root=self.root[:_BLOCK], tree=self.tree[:_BLOCK])


class Maker:
    """Makes bundles for a device.

    Args:
        workspace: The device.
        files: The folder for the bundles, which is there.
    """

    def __init__(self, workspace: Workspace, files: Path) -> None:
        self._workspace = workspace
        self._files = files
        self._scratch = workspace.work / "scratch"
        self._scratch.mkdir()

    def whole(
        self, name: str, *edits: release.Edit, version: str = VERSION
    ) -> tuple[release.SlotContents, Manifest]:
        """Make a bundle of the other release, which the device's maker signed.

        Args:
            name: Of the bundle.
            edits: What is wrong with the release; nothing, and it is a good one.
            version: Of the release, of the length of the built one's.
        """
        made = release.make(self._workspace, release.INDEX, version=version, edits=edits)
        return made, self._pack(name, self._release(made.fit, made), version=version)

    def resigned(self, name: str, of: str, keys: Path) -> None:
        """Have the update key of another directory sign a bundle."""
        parts, view = self._parts(of)
        text = _content(parts.message)
        self._write(name, view[: parts.payload], _seal(keys, text))

    def for_other_devices(self, name: str, of: str) -> None:
        """Have the maker sign a bundle for devices of another name."""
        parts, view = self._parts(of)
        found = manifest.parse(_content(parts.message))
        text = manifest.emit(dataclasses.replace(found, compatible="other-board"))
        self._write(name, view[: parts.payload], _seal(self._workspace.keys, text))

    def changed(self, name: str, of: str) -> None:
        """Flip one bit in a file of a bundle whose signature still holds."""
        parts, view = self._parts(of)
        found = manifest.parse(_content(parts.message))
        data = bytearray(view)
        # In the image of the boot partition, which is nearly all of a small bundle.
        data[(parts.payload - found.tree_size) // 2] ^= 1
        self._write(name, bytes(data[: parts.payload]), parts.message)

    def small(
        self,
        name: str,
        *,
        index: int = release.INDEX,
        foreign_policy: bool = False,
        other_board: bool = False,
        spoilt: bool = False,
    ) -> Manifest:
        """Make a bundle that the maker signed, with a root of one block.

        Args:
            name: Of the bundle.
            index: Rollback index of its release.
            foreign_policy: Sign its PCR policy with a key that is not the maker's.
            other_board: Have its device trees, and the bundle itself, name another board.
            spoilt: Flip a bit in the FIT's signatures, which nothing but U-Boot looks at.
        """
        made = release.make(self._workspace, index)
        fit = made.fit
        if other_board:
            fit = self._for_other_board(fit)
        if spoilt:
            fit = unsigned(fit)
        found = self._release(fit, made, foreign_policy=foreign_policy)
        return self._pack(name, found.small(), compatible="other-board" if other_board else "")

    def plain(self, name: str) -> None:
        """Make a bundle of RAUC's format plain, which the maker signed."""
        staging = self._scratch / "plain"
        staging.mkdir()
        root = bytes(_BLOCK)
        (staging / "root.img").write_bytes(root)
        text = f"[update]\ncompatible={self._compatible}\nversion={VERSION}\n\n"
        digest = hashlib.sha256(root).hexdigest()
        text += f"[image.root]\nfilename=root.img\nsize={_BLOCK}\nsha256={digest}\n"
        (staging / "manifest.raucm").write_text(text)
        packed = self._scratch / "plain.squashfs"
        names = ("root.img", "manifest.raucm")
        payload.pack(staging, names, packed, epoch=self._workspace.device.epoch)
        data = packed.read_bytes()
        self._write(name, data, without_content(_seal(self._workspace.keys, data)))

    def other_keys(self) -> Path:
        """Return the keys of another maker."""
        keys = self._scratch / "keys"
        key_directory.generate(profiles.load(profiles.find("dev")), keys)
        return keys

    def plug(self) -> None:
        """Put the bundles onto a disk, and plug it in."""
        image = self._workspace.work / "bundles.img"
        options = ["-U", UUID, "--all-root", "-T", "0", "--quiet"]
        proc.run("mkfs.erofs", [*options, image, self._files], timeout=_TIMEOUT)
        self._workspace.medium = image

    @property
    def _compatible(self) -> str:
        return self._workspace.device.name

    def _release(
        self, fit: bytes, made: release.SlotContents, *, foreign_policy: bool = False
    ) -> _Release:
        document = release.policy(self._workspace, made, foreign=foreign_policy)
        # Not from the disk, which QEMU may have open.
        device = self._workspace.device
        size = device.partition(device.slots[0].boot).size
        tail = boot_partition.pad_policy(documents.dump(document))
        return _Release(
            root=made.root.read_bytes(),
            tree=made.tree.read_bytes(),
            boot=fit.ljust(boot_partition.room(size), b"\0") + tail,
        )

    def _for_other_board(self, fit: bytes) -> bytes:
        for slot in self._workspace.device.slots:
            name = forge_fit.referenced(fit, slot.configuration, "fdt")
            editor = Editor(bytes(fit_format.parse(fit).image(name).payload))
            editor.set_property("/", "compatible", _BOARD)
            fit = forge_fit.replace_payload(fit, name, editor.to_bytes())
        return forge_signed.sign_like(fit, key_directory.signer(self._workspace.keys, Role.FIT))

    def _pack(
        self, name: str, found: _Release, *, compatible: str = "", version: str = VERSION
    ) -> Manifest:
        identity = Identity(
            compatible=compatible or self._compatible,
            version=version,
            epoch=self._workspace.device.epoch,
        )
        keys = self._workspace.keys
        path = self._path(name)
        return build.pack(found.images(), identity, path, lambda text: _seal(keys, text), Silent())

    def _parts(self, name: str) -> tuple[bundle.Bundle, bytes]:
        data = self._path(name).read_bytes()
        return bundle.parse(data), data

    def _write(self, name: str, content: bytes, message: bytes) -> None:
        self._path(name).write_bytes(content + bundle.trailer(message))

    def _path(self, name: str) -> Path:
        return self._files / f"{name}.raucb"


def _seal(keys: Path, content: bytes) -> bytes:
    """Sign with the update key of a directory."""
    signer = key_directory.signer(keys, Role.UPDATE)
    own = certificate.read(key_directory.certificate_of(keys, Role.UPDATE))
    return messages.sign(content, own, signer, int(time.time()))


def _content(message: bytes) -> bytes:
    signed = cms.parse(message)
    return (signed and signed.content) or b""


def unsigned(fit: bytes) -> bytes:
    """Flip a bit of the signature of each configuration, so that U-Boot starts none."""
    for configuration in fit_format.parse(fit).configurations:
        for signature in configuration.signatures:
            fit = forge.flip_bit(fit, fit.index(bytes(signature.value)))
    return fit


def without_content(message: bytes) -> bytes:
    """Take out of a CMS message what it signs: the signature is then a detached one."""
    outer = Values(message, "message").into(SEQUENCE)
    kind = outer.whole(OID)
    signed = outer.into(cms.EXPLICIT).into(SEQUENCE)
    version, hashes = signed.whole(INTEGER), signed.whole(SET)
    signed.take(SEQUENCE)
    rest = b"".join(signed.whole(tag) for tag in (cms.EXPLICIT, SET))
    empty = certificate.der(SEQUENCE, certificate.der(OID, cms.DATA))
    inner = certificate.der(SEQUENCE, version + hashes + empty + rest)
    return certificate.der(SEQUENCE, kind + certificate.der(cms.EXPLICIT, inner))
