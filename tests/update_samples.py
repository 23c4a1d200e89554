# SPDX-License-Identifier: MIT
"""Small update bundles, their keys, and what changes one part of them and signs it again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bootseal import device as devices
from bootseal.device import Artefact, Device, Qemu
from bootseal.formats import verity
from bootseal.formats.update import bundle, cms
from bootseal.formats.update import manifest as manifests
from bootseal.formats.update.manifest import Image, Manifest
from bootseal.formats.verity import BLOCK, TREE_AT
from bootseal.keys import certificate
from bootseal.keys import cms as messages
from bootseal.keys.algorithms import Algorithm, KeyKind
from bootseal.keys.certificate import CertifiedKey, Issuer
from bootseal.keys.envelope import Opener
from bootseal.keys.profile import KeySpec, Role, Storage
from bootseal.keys.signers.file import FileSigner
from bootseal.update import payload
from bootseal.update.release import FILES, SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.unit.check.conftest import Base

    from bootseal.keys.signers.file import PrivateKey

COMPATIBLE: Final = "sample"
VERSION: Final = "2.0.0"
EPOCH: Final = 1_700_000_000


def key(
    role: Role, issuer: CertifiedKey | None = None, *, kind: str = "rsa2048", days: int = 30
) -> CertifiedKey:
    """Make a key and its certificate, as `keys generate` does."""
    spec = KeySpec(
        role=role,
        name=f"DEV-{role}",
        algorithm=Algorithm.parse(f"sha256,{kind}"),
        subject=f"CN=DEV {role}",
        authority=role in {Role.ROOT, Role.UPDATE_CA, Role.DEVICE_CA},
        valid_days=days,
        storage=Storage.FILE,
    )
    return certificate.issue(spec, None if issuer is None else issuing(issuer))


def issuing(made: CertifiedKey) -> Issuer:
    return Issuer(
        signer=FileSigner(made.private), certificate=made.certificate, hash_name=made.hash_name
    )


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys of a maker: an authority for updates below a root, next to another authority."""

    root: CertifiedKey
    authority: CertifiedKey
    update: CertifiedKey
    device_ca: CertifiedKey

    @property
    def when(self) -> int:
        """A time at which all certificates are valid, also those that are made an hour later."""
        return int(self.update.certificate.not_valid_before_utc.timestamp()) + 3600


@cache
def keys(kind: str = "rsa2048") -> Keys:
    root = key(Role.ROOT, kind=kind)
    authority = key(Role.UPDATE_CA, root, kind=kind)
    return Keys(
        root=root,
        authority=authority,
        update=key(Role.UPDATE, authority, kind=kind),
        device_ca=key(Role.DEVICE_CA, root, kind=kind),
    )


def images(base: Base) -> dict[str, bytes]:
    """Return what the first slot of the sample disk holds, by the name it has in a bundle."""
    root_end = base.offset("root-a") + 300 * BLOCK
    tree = base.image[base.offset("root-a-verity") :][: TREE_AT + 4 * BLOCK]
    return {
        FILES["root"]: base.image[base.offset("root-a") : root_end],
        FILES["verity"]: tree,
        FILES["boot"]: base.image[base.offset("boot-a") :][: 1 << 20],
    }


@dataclass(kw_only=True)
class Bundle:
    """A bundle to be: what is in it, and who signs it."""

    files: dict[str, bytes]
    signer: CertifiedKey
    when: int
    order: tuple[str, ...] = SLOTS
    adaptive: tuple[str, ...] = ("root",)
    extra: Mapping[str, bytes] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    rewrite: Callable[[str], str] = str

    def to_bytes(self, directory: Path) -> bytes:
        """Write it as it is described, however wrong that is."""
        directory.mkdir(exist_ok=True)
        listed = tuple(self.image(slot) for slot in self.order)
        written = {name: data for name, data in self.files.items() if name not in self.without}
        for image in listed:
            if image.adaptive:
                index = payload.index([self.files[image.filename]])
                written[f"{image.filename}{manifests.SUFFIX}"] = index
        written |= self.extra
        for name, data in written.items():
            (directory / name).write_bytes(data)
        packed = directory / "payload"
        packed.unlink(missing_ok=True)
        payload.pack(directory, written, packed, epoch=EPOCH)
        tree = payload.append_tree(packed)
        manifest = Manifest(
            compatible=COMPATIBLE,
            version=VERSION,
            build="",
            form="verity",
            root_hash=tree.root_hash.hex(),
            salt=tree.salt.hex(),
            tree_size=payload.tree_size(tree),
            images=listed,
        )
        text = self.rewrite(manifests.emit(manifest).decode()).encode()
        return packed.read_bytes() + bundle.trailer(signed(text, self.signer, self.when))

    def image(self, slot: str) -> Image:
        """Return what the manifest says of an image."""
        name = FILES[slot]
        data = self.files[name]
        return Image(
            slot=slot,
            filename=name,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            adaptive=slot in self.adaptive,
        )


def signed(content: bytes, by: CertifiedKey, when: int) -> bytes:
    return messages.sign(content, by.certificate, FileSigner(by.private), when)


def small(compatible: str, version: str) -> bytes:
    """Return a bundle of one block, whole and signed, that holds nothing."""
    block = bytes(BLOCK)
    manifest = Manifest(
        compatible=compatible,
        version=version,
        build="",
        form="verity",
        root_hash=verity.digests(bytes(32), block).hex(),
        salt=bytes(32).hex(),
        tree_size=0,
        images=(Image(slot="root", filename="root.img", size=0, sha256="0" * 64, adaptive=False),),
    )
    text = manifests.emit(manifest)
    return block + bundle.trailer(signed(text, keys().update, keys().when))


def parts(data: bytes) -> tuple[bytes, bytes]:
    """Return payload and CMS message of a bundle."""
    found = bundle.parse(data)
    return data[: found.payload], found.message


def resigned(data: bytes, by: CertifiedKey, when: int, old: str = "", new: str = "") -> bytes:
    """Return a bundle with another signature, and perhaps another manifest."""
    body, message = parts(data)
    parsed = cms.parse(message)
    assert parsed
    assert parsed.content
    text = parsed.content.decode()
    assert old in text
    return body + bundle.trailer(signed(text.replace(old, new).encode(), by, when))


def recipient(name: str = "dev-1", *, kind: str = "rsa2048", use: str = "") -> Opener:
    """Make a key that bundles can be encrypted for, and a certificate of it by itself."""
    return _certified(certificate.make_private(KeyKind(kind)), name, use)


def again(opener: Opener) -> Opener:
    """Return the same key with another certificate."""
    return _certified(opener.private, "dev-1", "")


def _certified(made: PrivateKey, name: str, use: str) -> Opener:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
    )
    if use:
        builder = builder.add_extension(certificate.usage(use), critical=True)
    return Opener(private=made, certificate=builder.sign(made, SHA256()))


def device(base: Base, directory: Path) -> Path:
    """Write the sample disk as a build directory."""
    directory.mkdir()
    files = {"disk": ("disk.img", base.image), "bios": ("u-boot.dtb", base.target.control)}
    for name, data in files.values():
        (directory / name).write_bytes(data)
    devices.save(
        Device(
            name=COMPATIBLE,
            profile="dev",
            login=False,
            epoch=EPOCH,
            qemu=Qemu(system="qemu-system-aarch64", machine="virt", cpu="max", cpus=1, memory=64),
            artefacts={
                role: Artefact(path=name, sha256="", size=len(data))
                for role, (name, data) in files.items()
            },
            partitions=base.target.partitions,
            slots=base.target.slots,
            keys={"fit": base.target.fit_key},
        ),
        directory,
    )
    return directory


def write_keys(made: Keys, directory: Path) -> None:
    """Write the certificates and the update key, as a key directory has them."""
    directory.mkdir(mode=0o700)
    for name, each in (("ca", made.authority), ("update", made.update)):
        pem = each.certificate.public_bytes(Encoding.PEM)
        (directory / f"{name}.crt").write_bytes(pem)
        private = each.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        descriptor = os.open(directory / f"{name}.key", os.O_CREAT | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(private)
