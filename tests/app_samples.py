# SPDX-License-Identifier: MIT
"""A small application, its image, and what changes one part of that."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from tests import update_samples

from bootseal.app import build as building
from bootseal.app import check as app_check
from bootseal.app.build import Application
from bootseal.app.sign import Signing
from bootseal.formats import gpt, verity
from bootseal.formats.app import layout, signature
from bootseal.formats.app.release import Release
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.profile import KeySpec, Role, Storage
from bootseal.keys.signers.file import FileSigner
from bootseal.progress import Silent
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bootseal.app.check import AppVerdict
    from bootseal.formats.app.signature import Signature
    from bootseal.formats.gpt import GptEntry
    from bootseal.formats.verity import Superblock
    from bootseal.keys.certificate import CertifiedKey
    from bootseal.keys.signers.base import Signer

NAME, VERSION, ENTRY = "hello", "1.0", "/usr/bin/hello"
EPOCH: Final = 1_700_000_000
PROGRAM: Final = b"#!/bin/sh\necho hello\n"


@cache
def key(number: int = 1, kind: str = "rsa2048") -> CertifiedKey:
    """Return a key for applications; another one for each number."""
    del number
    return update_samples.key(Role.APP, update_samples.keys(kind).root, kind=kind)


def tree(directory: Path) -> Path:
    """Write the files of the application."""
    (directory / "usr/bin").mkdir(parents=True)
    (directory / "usr/share/hello").mkdir(parents=True)
    program = directory / ENTRY[1:]
    program.write_bytes(PROGRAM)
    program.chmod(0o755)
    # More than the digests of one block: the tree has two levels.
    noise = b"".join(verity.digests(bytes([n]), bytes(4096)) for n in range(256)) * 100
    (directory / "usr/share/hello/data").write_bytes(
        b"".join(bytes([n]) + noise[n * 997 :][:4095] for n in range(190))
    )
    (directory / "usr/bin/again").symlink_to("hello")
    return directory


def application(source: Path, **changes: object) -> Application:
    made = Application(
        source=source, release=Release(name=NAME, version=VERSION), entry=ENTRY, epoch=EPOCH
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def signing(by: CertifiedKey) -> Signing:
    return Signing(signer=FileSigner(by.private), certificate=by.certificate)


def build(
    source: Path,
    image: Path,
    by: CertifiedKey | None = None,
    changes: Mapping[str, object] | None = None,
) -> Path:
    """Make and sign an image."""
    seal = signing(by or key()).partition
    building.build(application(source, **(changes or {})), image, seal, Silent())
    return image


def check(
    image: Path, by: CertifiedKey | None = None, *, name: str = "", inside: bool = True
) -> AppVerdict:
    wanted = app_check.Wanted(certificate=(by or key()).certificate, name=name, inside=inside)
    return app_check.check(image, wanted, Silent())


def check_signer(signer: Signer, directory: Path) -> None:
    """Have any signer sign an image: it is accepted, and refused with one bit changed."""
    spec = KeySpec(
        role=Role.APP,
        name="app",
        algorithm=Algorithm(hash_name="sha256", kind=signer.public_key.kind),
        subject="CN=app",
        valid_days=30,
        storage=Storage.FILE,
    )
    pinned = certificate.certify(spec, signer, None)
    image = directory / "image"
    seal = Signing(signer=signer, certificate=pinned).partition
    building.build(application(tree(directory / "root")), image, seal, Silent())
    wanted = app_check.Wanted(certificate=pinned)
    assert not app_check.check(image, wanted, Silent()).errors
    image.write_bytes(changed(image.read_bytes(), entries(image.read_bytes())[0].offset))
    found = app_check.check(image, wanted, Silent())
    assert [each.id for each in found.errors] == ["app.block"]


def entries(data: bytes) -> list[GptEntry]:
    """Return the partitions as the primary table has them."""
    header = gpt.parse_header(data[SECTOR : 2 * SECTOR])
    return [*gpt.parse_entries(data[header.entries :][: header.entries_size], header)]


def retabled(data: bytes, changed: list[GptEntry]) -> bytes:
    """Return an image with other partitions, and checksums that fit."""
    header = gpt.parse_header(data[SECTOR : 2 * SECTOR])
    image = bytearray(data)
    for place, content in gpt.emit(changed, header.disk, len(data)).items():
        image[place : place + len(content)] = content
    return bytes(image)


def signed(data: bytes) -> Signature:
    place = entries(data)[2]
    found = signature.parse(data[place.offset : place.end])
    assert found
    return found


def resigned(data: bytes, partition: bytes) -> bytes:
    """Return an image with another signature partition."""
    place = entries(data)[2]
    return data[: place.offset] + partition.ljust(place.size, b"\0") + data[place.end :]


def changed(data: bytes, offset: int, bits: int = 1) -> bytes:
    offset %= len(data)
    return data[:offset] + bytes([data[offset] ^ bits]) + data[offset + 1 :]


def with_guids(data: bytes, root_hash: bytes) -> bytes:
    """Return an image whose partitions have the GUIDs of another root hash."""
    root, tree_, sig = entries(data)
    first, second = layout.guids(root_hash)
    return retabled(data, [replace(root, uuid=first), replace(tree_, uuid=second), sig])


def superblock(data: bytes) -> Superblock:
    """Return what is in front of the hash tree."""
    return verity.parse_superblock(data[entries(data)[1].offset :][: verity.BLOCK])
