# SPDX-License-Identifier: MIT
"""Foreign volumes that replace the data partition, by anyone who can write the disk.

Nothing here asks the TPM or a key for anything. A kernel that knows the null cipher is the maker's
mistake that two of them need: its initramfs loads the module, and its policy is signed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bootseal import proc
from bootseal.boot.attacks import approval, forge_fit, forge_signed
from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks.data_volume import HEADER_SIZE, PARTITION
from bootseal.errors import FormatError, VerificationRefused
from bootseal.formats import cpio
from bootseal.formats.fit import model as fit_format
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.units import MIB, align_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.boot.scenario.workspace import Workspace

MODULE: Final = "null-cipher"
"""Role of the artefact that is the kernel's module of the null cipher."""

_COPY_SIZE: Final = 16 * 1024
_METADATA: Final = 4096
_CHECKSUM: Final = slice(448, 512)
_STRIPES: Final = 4000
_VOLUME_KEY: Final = bytes(range(64))
_SAVED: Final = "earlier-volume"
_TIMEOUT: Final = 120.0
_MODULES: Final = re.compile(rb"0707[0-9a-fA-F]{106}etc/modules\0")

Json = dict[str, Any]


def null_cipher(workspace: Workspace) -> None:
    """Have the data written in the clear: another cipher in the header, and a file system."""
    load_null_cipher(workspace)

    def change(header: Json) -> None:
        header["segments"]["0"]["encryption"] = "cipher_null-ecb"

    _change_header(workspace, change)
    _write_file_system(workspace)


def null_slot(workspace: Workspace) -> None:
    """Put the attacker's volume key behind the TPM's token, in a slot that any key opens."""
    load_null_cipher(workspace)

    def change(header: Json) -> None:
        header["keyslots"]["0"]["area"]["encryption"] = "cipher_null-ecb"
        digest = header["digests"]["0"]
        salt, rounds = base64.b64decode(digest["salt"]), digest["iterations"]
        made = hashlib.pbkdf2_hmac("sha256", _VOLUME_KEY, salt, rounds, 32)
        digest["digest"] = base64.b64encode(made).decode()

    header = _change_header(workspace, change)
    hash_ = header["keyslots"]["0"]["af"]["hash"]
    material = _split(_VOLUME_KEY, hash_)
    offset = int(header["keyslots"]["0"]["area"]["offset"])
    workspace.disk.write(PARTITION, offset, material.ljust(align_up(len(material), 4096), b"\0"))


def wipe(workspace: Workspace) -> None:
    """Keep a copy of the header and the key slots, and wipe them, as an owner would."""
    header = workspace.disk.read(PARTITION, 0, HEADER_SIZE)
    (workspace.work / _SAVED).write_bytes(header)
    workspace.disk.write(PARTITION, 0, bytes(HEADER_SIZE))


def put_back(workspace: Workspace) -> None:
    """Restore the wiped volume over the one that the device has made since."""
    workspace.disk.write(PARTITION, 0, (workspace.work / _SAVED).read_bytes())


def slot_b_as_built(workspace: Workspace) -> None:
    """Check that nothing wrote over the FIT of slot b.

    Raises:
        VerificationRefused: Something did.
    """
    fit = fit_attacks.original(workspace)
    slot = next(slot for slot in workspace.device.slots if slot.name == "b")
    if workspace.disk.read(slot.boot, 0, len(fit)) != fit:
        raise VerificationRefused(f"{slot.boot} is not as built: it was written through a link")


def load_null_cipher(workspace: Workspace) -> None:
    """Have the initramfs load the module of the null cipher; FIT and policy are signed anew.

    Raises:
        FormatError: The device came without the module.
    """
    module = workspace.device.artefact(workspace.directory, MODULE).read_bytes()
    fit = fit_attacks.original(workspace)
    name = forge_fit.referenced(fit, forge_fit.first_configuration(fit), "ramdisk")
    old = bytes(fit_format.parse(fit).image(name).payload)
    files = [
        cpio.file("crypto_null.ko", module),
        cpio.directory("etc"),
        cpio.file("etc/modules", _modules(old) + b"/crypto_null.ko\n"),
    ]
    more = gzip.compress(cpio.pack(files, epoch=0), mtime=0)
    payload = old.ljust(align_up(len(old), 4), b"\0") + more
    signer = key_directory.signer(workspace.keys, Role.FIT)
    fit = forge_signed.sign_like(forge_fit.replace_payload(fit, name, payload), signer)
    fit_attacks.install(workspace, fit)
    found = approval.predictions(workspace, fit)
    approval.approve(workspace, found.values())
    approval.expect(workspace, found)


def _modules(initramfs: bytes) -> bytes:
    """Return `/etc/modules` out of a gzip-compressed archive (`newc`)."""
    archive = gzip.decompress(initramfs)
    match = _MODULES.search(archive)
    if match is None:
        raise FormatError("the initramfs has no /etc/modules")
    size = int(archive[match.start() + 54 : match.start() + 62], 16)
    start = match.start() + align_up(match.end() - match.start(), 4)
    return archive[start : start + size]


def _change_header(workspace: Workspace, change: Callable[[Json], None]) -> Json:
    """Change the metadata in both copies of the header, whose checksums anyone can renew."""
    head = workspace.disk.read(PARTITION, 0, 2 * _COPY_SIZE)
    header: Json = json.loads(head[_METADATA:_COPY_SIZE].split(b"\0")[0])
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    for start in (0, _COPY_SIZE):
        copy = bytearray(head[start : start + _METADATA])
        copy[_CHECKSUM] = bytes(64)
        copy += text.ljust(_COPY_SIZE - _METADATA, b"\0")
        copy[_CHECKSUM] = hashlib.sha256(copy).digest().ljust(64, b"\0")
        workspace.disk.write(PARTITION, start, bytes(copy))
    return header


def _write_file_system(workspace: Workspace) -> None:
    """Write an empty ext4 in the clear to where the encrypted data is."""
    size = workspace.disk.size(PARTITION) - HEADER_SIZE
    with tempfile.TemporaryDirectory(prefix="bootseal-") as scratch:
        image = Path(scratch) / "ext4"
        with image.open("wb") as file:
            file.truncate(size)
        proc.run("mkfs.ext4", ["-q", image], timeout=_TIMEOUT)
        with image.open("rb") as file:
            for offset in range(0, size, MIB):
                if any(part := file.read(MIB)):
                    workspace.disk.write(PARTITION, HEADER_SIZE + offset, part)


def _split(key: bytes, hash_: str) -> bytes:
    """Spread a key over the stripes of a key slot. Spec: LUKS1 On-Disk Format, AFsplit."""
    stripes = [bytes(len(key))] * (_STRIPES - 1)
    last = bytes(len(key))
    for stripe in stripes:
        last = _diffuse(bytes(a ^ b for a, b in zip(last, stripe, strict=True)), hash_)
    return b"".join(stripes) + bytes(a ^ b for a, b in zip(last, key, strict=True))


def _diffuse(block: bytes, hash_: str) -> bytes:
    size = hashlib.new(hash_).digest_size
    parts = (block[at : at + size] for at in range(0, len(block), size))
    return b"".join(
        hashlib.new(hash_, struct.pack(">I", number) + part).digest()[: len(part)]
        for number, part in enumerate(parts)
    )
