# SPDX-License-Identifier: MIT
"""An update bundle with the other release of a device, signed by its maker."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.boot.attacks import release
from bootseal.boot.attacks.bundles import VERSION
from bootseal.boot.machine import qemu
from bootseal.boot.scenario.workspace import Workspace
from bootseal.check import expected
from bootseal.formats.update import manifest as manifests
from bootseal.keys import certificate
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.progress import Silent
from bootseal.update import build
from bootseal.update.sign import Signing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.keys.cms import Certificate

_SCRATCH: Final = "release"
_TIMEOUT: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle, and what a job says of it.

    Attributes:
        path: The file.
        manifest_sha256: SHA-256 of its manifest, lower-case hex.
        compatible: The devices it is for.
    """

    path: Path
    manifest_sha256: str
    compatible: str


def make(
    workspace: Workspace, output: Path, spoil: Callable[[Workspace], None] | None = None
) -> Bundle:
    """Make a bundle of the other release, and expect what the device would report of it.

    Args:
        workspace: The device, whose own disk is left as it is.
        output: The bundle.
        spoil: Changes the disk that the bundle is made of.
    """
    scratch = Workspace(
        workspace.device, workspace.directory, workspace.keys, workspace.work / _SCRATCH
    )
    scratch.work.mkdir()
    shipped = workspace.device.artefact(workspace.directory, "disk")
    qemu.create_overlay(scratch.disk.path, shipped, backing_format="raw")
    release.update(version=VERSION, spoil=spoil)(scratch)
    raw = scratch.work / "disk.img"
    args = ["convert", "-f", "qcow2", "-O", "raw", str(scratch.disk.path), str(raw)]
    proc.run("qemu-img", args, timeout=_TIMEOUT)
    (slot,) = (slot for slot in scratch.device.slots if slot.name == release.SLOT)
    target = replace(expected.of_device(workspace.directory), image=raw, slots=(slot,))
    device = workspace.device
    identity = build.Identity(compatible=device.name, version=VERSION, epoch=device.epoch)
    manifest = build.build(target, identity, output, _signing(workspace).message, Silent())
    raw.unlink()
    workspace.replace_slot(slot)
    digest = hashlib.sha256(manifests.emit(manifest)).hexdigest()
    return Bundle(path=output, manifest_sha256=digest, compatible=device.name)


def _signing(workspace: Workspace) -> Signing:
    def certified(role: Role) -> Certificate:
        return certificate.read(key_directory.certificate_of(workspace.keys, role))

    return Signing(
        signer=key_directory.signer(workspace.keys, Role.UPDATE),
        certificate=certified(Role.UPDATE),
        authority=certified(Role.UPDATE_CA),
        when=int(time.time()),
    )
