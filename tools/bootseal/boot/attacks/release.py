# SPDX-License-Identifier: MIT
"""Another release of a device, made from the built one and put into its second slot.

It has another initramfs, root image and rollback index, and so other PCR values and another policy.
The maker's keys sign it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import approval, forge, forge_fit, forge_signed
from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks import root as root_attacks
from bootseal.boot.attacks.state import BOOTSTATE
from bootseal.errors import UsageError
from bootseal.formats import cpio
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fdt.model import read
from bootseal.formats.fit import model as fit_format
from bootseal.formats.uboot.environment import emit_environment
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.measure import pcr_policy
from bootseal.measure.pcr_policy import PcrPolicy
from bootseal.measure.predict import FIRMWARE_PROPERTY, Prediction

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

INDEX: Final = 2
"""Rollback index of the other release; that of the built one is lower."""
SLOT: Final = "b"
_TIMEOUT: Final = 300.0
# Files that are smaller than a block are not compressed: the agent's configuration, and units.
_VERSION: Final = re.compile(rb'^version = "([0-9.]{1,40})"$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A mistake of the maker's in a unit of the root.

    Attributes:
        lines: What the built root has there, once.
        others: What is there instead; no longer.
    """

    lines: bytes
    others: bytes


_GOOD: Final = b"ExecStart=systemctl start data.mount\nExecStart="
_MARKED: Final = _GOOD + b"/usr/lib/bootseal/mark-good"
HANGS: Final = Edit(
    lines=_MARKED + b"\nStandardOutput=journal+console\nStandardError=journal",
    others=_GOOD + b"sh -c 'echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze'",
)
"""systemd itself is stopped before the slot is marked good; it would restart after a crash."""
NEVER_GOOD: Final = Edit(lines=_MARKED, others=_GOOD + b"false")
"""The test that decides on it fails, once the data is open."""
KEEPS_CLOSED: Final = Edit(
    lines=b"ExecStart=/usr/lib/bootseal/rollback define",
    others=b"ExecStart=/usr/lib/bootseal/volume cap",
)
"""The TPM's policy is closed before the data is opened, and not after."""
SOON: Final = Edit(lines=b"OnBootSec=30min", others=b"OnBootSec=1min")
"""A release that is not good is left sooner than others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotContents:
    """What goes into a slot, and what its PCRs will be, for each slot by its name."""

    fit: bytes
    root: Path
    tree: Path
    root_hash: str
    predictions: dict[str, Prediction]


def update(
    *,
    attempts: int = 3,
    spoil: Callable[[Workspace], None] | None = None,
    foreign_policy: bool = False,
    firmware_version: int | None = None,
) -> Callable[[Workspace], None]:
    """Put the other release into slot b and have it tried first, as an update does.

    Args:
        attempts: How often U-Boot tries it before it falls back to slot a.
        spoil: Changes the disk afterwards.
        foreign_policy: Sign its policy with a key that is not the vendor's.
        firmware_version: The lowest one that it asks of boot loaders; None leaves it.
    """

    def prepare(workspace: Workspace) -> None:
        made = make(workspace, INDEX, firmware_version)
        slot = next(slot for slot in workspace.device.slots if slot.name == SLOT)
        document = policy(workspace, made, foreign=foreign_policy)
        fit_attacks.install(workspace, made.fit, SLOT)
        approval.write_policy(workspace, slot.boot, document)
        workspace.disk.write(slot.root, 0, made.root.read_bytes())
        workspace.disk.write(slot.verity, 0, made.tree.read_bytes())
        order(workspace, "B A", b=attempts)
        expect(workspace, made)
        if spoil is not None:
            spoil(workspace)

    return prepare


def expect(workspace: Workspace, made: SlotContents, name: str = SLOT) -> None:
    """Expect a release in a slot from now on."""
    slot = next(slot for slot in workspace.device.slots if slot.name == name)
    workspace.replace_slot(dataclasses.replace(slot, root_hash=made.root_hash))
    approval.expect(workspace, {name: made.predictions[name]})


def policy(workspace: Workspace, made: SlotContents, *, foreign: bool) -> PcrPolicy:
    """Sign the policy of a release: as the maker, or with another key that claims to be theirs."""
    if not foreign:
        signer = key_directory.signer(workspace.keys, Role.POLICY)
        return pcr_policy.sign(made.predictions.values(), signer)
    stranger = forge_signed.stranger(Role.POLICY, "sha256,rsa2048")
    document = pcr_policy.sign(made.predictions.values(), stranger)
    vendor = pcr_policy.key_fingerprint(key_directory.find(workspace.keys, Role.POLICY).public_key)
    return PcrPolicy(sha256=tuple(dataclasses.replace(e, pkfp=vendor) for e in document.sha256))


def order(workspace: Workspace, slots: str, *, a: int = 3, b: int = 3) -> None:
    """Write the slot state: which slot is tried first, and how often each."""
    state = {"BOOT_ORDER": slots, "BOOT_A_LEFT": str(a), "BOOT_B_LEFT": str(b)}
    workspace.disk.write(BOOTSTATE, 0, emit_environment(state))


def back_to_a(workspace: Workspace) -> None:
    """Have the older release tried first, once, as anyone who can write the disk can."""
    order(workspace, "A B", a=1)


def broken_root(workspace: Workspace) -> None:
    """Flip one bit in the superblock of slot b's root."""
    slot = next(slot for slot in workspace.device.slots if slot.name == SLOT)
    changed = forge.flip_bit(workspace.disk.read(slot.root, root_attacks.SUPERBLOCK, 1), 0)
    workspace.disk.write(slot.root, root_attacks.SUPERBLOCK, changed)


def make(
    workspace: Workspace,
    index: int,
    firmware_version: int | None = None,
    version: str = "",
    edits: Iterable[Edit] = (),
) -> SlotContents:
    """Make the other release.

    Args:
        workspace: The device as it was built.
        index: Its rollback index.
        firmware_version: The lowest one that it asks of boot loaders; None leaves it.
        version: What it says of its version; "" leaves that of the built one.
        edits: What is wrong with it.

    Raises:
        UsageError: The built root is not one that can be changed like that.
    """
    fit = fit_attacks.original(workspace)
    root, tree = workspace.work / "root.img", workspace.work / "root.verity"
    # A block behind the file system, which it does not use: the same files under another hash.
    block = f"release with rollback index {index}".encode().ljust(root_attacks.BLOCK, b"\0")
    content = workspace.device.artefact(workspace.directory, "root").read_bytes()
    if version:
        content = _renamed(content, version)
    for each in edits:
        content = _edited(content, each)
    root.write_bytes(content + block)
    blocks = root.stat().st_size // root_attacks.BLOCK
    first = workspace.device.slots[0].configuration
    root_hash = root_attacks.format_tree(root, tree, root_attacks.salt(fit, first))
    for slot in workspace.device.slots:
        name = forge_fit.referenced(fit, slot.configuration, "fdt")
        old = bytes(fit_format.parse(fit).image(name).payload)
        fit = forge_fit.replace_payload(
            fit, name, device_tree(old, root_hash=root_hash, blocks=blocks, index=index)
        )
        if firmware_version is not None:
            fit = _ask(fit, name, firmware_version)
    ramdisk = forge_fit.referenced(fit, first, "ramdisk")
    more = cpio.pack([cpio.file("release", f"{index}\n".encode())], epoch=0)
    payload = bytes(fit_format.parse(fit).image(ramdisk).payload)
    fit = forge_fit.replace_payload(fit, ramdisk, more + payload)
    fit = forge_signed.sign_like(fit, key_directory.signer(workspace.keys, Role.FIT))
    predictions = approval.predictions(workspace, fit)
    return SlotContents(fit=fit, root=root, tree=tree, root_hash=root_hash, predictions=predictions)


def _renamed(root: bytes, version: str) -> bytes:
    """Have the agent's configuration in a root name another version, of the same length.

    Raises:
        UsageError: The root has no such file, or another one that looks like it.
    """
    found = _VERSION.findall(root)
    if len(found) != 1 or len(found[0]) != len(version):
        raise UsageError(
            f"the root names {len(found)} versions of a release: expected one of the length of "
            f"{version}, in the agent's configuration"
        )
    return _VERSION.sub(b'version = "' + version.encode() + b'"', root)


def _edited(root: bytes, edit: Edit) -> bytes:
    """Change lines of a unit in a root; spaces at their end, which systemd drops, keep the length.

    Raises:
        UsageError: The root does not have the lines once.
    """
    if (count := root.count(edit.lines)) != 1:
        raise UsageError(
            f"the root has {edit.lines.decode()!r} {count} times: expected once, uncompressed"
        )
    return root.replace(edit.lines, edit.others.ljust(len(edit.lines)))


def _ask(fit: bytes, name: str, firmware_version: int) -> bytes:
    """Have a device tree of a FIT ask for boot loaders of a version."""
    editor = Editor(bytes(fit_format.parse(fit).image(name).payload))
    editor.set_property("/chosen", FIRMWARE_PROPERTY, firmware_version.to_bytes(4))
    return forge_fit.replace_payload(fit, name, editor.to_bytes())


def device_tree(old: bytes, *, root_hash: str, blocks: int, index: int) -> bytes:
    """Have a device tree name another root, of `blocks` 4096-byte blocks, and rollback index."""
    chosen = read(old).find("/chosen")
    bootargs = (chosen and chosen.value("bootargs")) or b""
    for name, value in (("roothash", root_hash), ("blocks", str(blocks))):
        pattern = rb"\bbootseal\." + name.encode() + rb"=\w+"
        bootargs = re.sub(pattern, f"bootseal.{name}={value}".encode(), bytes(bootargs))
    editor = Editor(old)
    editor.set_property("/chosen", "bootargs", bootargs)
    editor.set_property("/chosen", "bootseal,rollback-index", index.to_bytes(4))
    return editor.to_bytes()
