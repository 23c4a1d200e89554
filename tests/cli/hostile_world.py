# SPDX-License-Identifier: MIT
"""The files that commands are given: good ones, and hostile ones to put in their place."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import struct
from typing import TYPE_CHECKING, Final

import zstandard
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests import evidence_samples, kinds, samples
from tests.unit.modules import module_samples

from bootseal import device as devices
from bootseal import documents
from bootseal.app.build import parts
from bootseal.app.sign import Signing
from bootseal.device import Artefact, Device, Qemu, Slot
from bootseal.formats import verity
from bootseal.formats.kinds.kind import Kind
from bootseal.formats.update import bundle
from bootseal.formats.update import manifest as manifests
from bootseal.formats.update.manifest import Image, Manifest
from bootseal.formats.verity import BLOCK
from bootseal.keys import certificate, cms
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.profile import KeySpec, Role, Storage
from bootseal.keys.signers.file import FileSigner
from bootseal.measure import approved
from bootseal.modules import sign as signed_modules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAYOUT: Final = """part --part-name boot-a --fixed-size 1M --part-type 1
bootloader --ptable gpt
"""
_NODE: Final = struct.pack(">I4s", 1, b"a\0\0\0")


def make(root: Path) -> None:
    """Write good files, as far as commands need them to come to the file in question."""
    root.mkdir()
    of_kind = kinds.files(root)
    sample = samples.sample("sha256,rsa2048")
    given = {
        "fit": sample.fit,
        "other": sample.fit,
        "control": sample.control,
        "fip": of_kind[Kind.FIP],
        "raucb": _bundle(of_kind),
        "u-boot": of_kind[Kind.UBOOT],
        "kernel": of_kind[Kind.KERNEL_ARM64],
        "board": of_kind[Kind.BOARD_TREE],
        "disk": of_kind[Kind.GPT],
        "log": of_kind[Kind.EVENT_LOG],
        "document": b"{}",
        "approved": documents.dump(approved.Approved()),
        "text": b"CONFIG_A=y\n",
        "layout": LAYOUT.encode(),
        "key.pub": of_kind[Kind.PUBLIC_KEY],
        "key.crt": of_kind[Kind.CERTIFICATE],
    }
    for name, data in given.items():
        (root / name).write_bytes(data)
    (root / "key").write_bytes(of_kind[Kind.PRIVATE_KEY])
    (root / "key").chmod(0o600)
    for name in ("keys", "device", "requests", "store", "empty", "tree"):
        (root / name).mkdir(mode=0o700)
    _application(root, of_kind)
    shutil.copy(root / "key", root / "keys/a.key")
    shutil.copy(root / "key.crt", root / "keys/a.crt")
    _device(root / "device", sample, of_kind)
    _evidence(root, sample)


def _evidence(root: Path, sample: samples.Sample) -> None:
    """Write a release with evidence, its public key, and what kas prints of its repositories."""
    (root / "kas").write_bytes(evidence_samples.kas())
    (root / "evidenced.pub").write_bytes(evidence_samples.signer().public_key.pem)
    directory = root / "evidenced"
    directory.mkdir()
    files = {"fit": "fit.itb", "disk": "disk.img", "bios": "u-boot.bin"}
    for name in files.values():
        (directory / name).write_bytes(sample.fit)
    device = Device(
        name="d",
        profile="dev",
        login=True,
        epoch=0,
        qemu=None,
        artefacts={role: devices.describe(directory, directory / n) for role, n in files.items()},
        partitions=(),
        slots=(),
        keys={},
    )
    devices.save(device, directory)
    evidence_samples.sign(directory)
    (directory / "reports").mkdir()


def _bundle(of_kind: dict[Kind, bytes]) -> bytes:
    """Return a bundle of one block, signed with the key of the world."""
    signer = x509.load_pem_x509_certificate(of_kind[Kind.CERTIFICATE])
    private = serialization.load_pem_private_key(of_kind[Kind.PRIVATE_KEY], None)
    assert isinstance(private, rsa.RSAPrivateKey)
    block = bytes(BLOCK)
    tree = verity.Tree(root_hash=verity.digests(bytes(32), block), salt=bytes(32), blocks=1)
    image = Image(slot="root", filename="root.img", size=0, sha256="0" * 64, adaptive=False)
    manifest = Manifest(
        compatible="d",
        version="1",
        build="",
        form="verity",
        root_hash=tree.root_hash.hex(),
        salt=tree.salt.hex(),
        tree_size=0,
        images=(image,),
    )
    message = cms.sign(manifests.emit(manifest), signer, FileSigner(private), 1_700_000_000)
    return block + bundle.trailer(message)


def _application(root: Path, of_kind: dict[Kind, bytes]) -> None:
    """Write an image of one block, signed with the key of the world, and files for another."""
    private = serialization.load_pem_private_key(of_kind[Kind.PRIVATE_KEY], None)
    assert isinstance(private, rsa.RSAPrivateKey)
    spec = KeySpec(
        role=Role.APP,
        name="a",
        algorithm=Algorithm(hash_name="sha256", kind=FileSigner(private).public_key.kind),
        subject="CN=a",
        valid_days=30,
        storage=Storage.FILE,
    )
    made = certificate.certify(spec, FileSigner(private), None)
    (root / "app.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    seal = Signing(signer=FileSigner(private), certificate=made).partition
    (root / "app").write_bytes(b"".join(parts(memoryview(bytes(BLOCK)), seal)))
    (root / "module.ko").write_bytes(module_samples.module())
    signing = signed_modules.Signing(signer=FileSigner(private), certificate=made)
    signed = signing.parts(module_samples.module(), "signed.ko")
    (root / "signed.ko").write_bytes(b"".join(signed))
    for name, data in (("usr/bin/a", b"#!/bin/sh\n"), ("usr/lib/os-release", b"ID=a\n")):
        (root / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "tree" / name).write_bytes(data)
    (root / "tree/usr/bin/a").chmod(0o755)
    (root / "tree/etc").mkdir()


def _device(directory: Path, sample: samples.Sample, of_kind: dict[Kind, bytes]) -> None:
    files = {
        "disk": ("disk.img", of_kind[Kind.GPT]),
        "fit": ("fit.itb", sample.fit),
        "bios": ("firmware.bin", of_kind[Kind.UBOOT]),
        "control-dtb": ("u-boot.dtb", sample.control),
    }
    for name, data in files.values():
        (directory / name).write_bytes(data)
    device = Device(
        name="d",
        profile="dev",
        login=True,
        epoch=0,
        qemu=Qemu(system="qemu-system-aarch64", machine="virt", cpu="max", cpus=1, memory=64),
        artefacts={
            role: Artefact(path=name, sha256="", size=len(data))
            for role, (name, data) in files.items()
        },
        partitions=(),
        slots=(Slot.named("a"), Slot.named("b")),
        keys={},
    )
    devices.save(device, directory)


def _written(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)
        path.chmod(0o600)

    return write


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _deep(path: Path) -> None:
    path.write_bytes(b'{"a":' * 300_000)


def hostile(root: Path) -> dict[str, Callable[[Path], None]]:
    """Return what writes a hostile file of each kind.

    Args:
        root: Where `make` wrote.
    """
    of_kind = kinds.files(root)
    noise = random.Random(12).randbytes(1 << 16)  # noqa: S311 - the same in each run
    fit = samples.sample("sha256,rsa2048").fit
    many = fit[:56] + _NODE * 250_000
    fip = of_kind[Kind.FIP]
    raucb = _bundle(of_kind)
    app = (root / "app").read_bytes()
    far = fip[:32] + struct.pack("<Q", (1 << 64) - 1) + fip[40:]
    ko = (root / "signed.ko").read_bytes()
    sections = module_samples.module(sections=(*module_samples.SECTIONS[1:], *[b""] * 65_000))
    controls = b"\x1b[2J\xe2\x80\xae[bold]{\n" * 50
    return {
        "empty": _written(b""),
        "controls": _written(controls),
        "noise": _written(noise),
        "sparse": _sparse,
        "loop": lambda path: path.symlink_to(path.name),
        "dangling": lambda path: path.symlink_to("nowhere"),
        "fifo": os.mkfifo,
        "directory": lambda path: path.mkdir(),
        "device": lambda path: path.symlink_to("/dev/zero"),
        "deep": _deep,
        "surrogates": _written(b'{"schema": "bootseal.device/1\\ud800", "name": "\\u0000/../x"}'),
        "number": _written(b'{"a": ' + b"9" * 20_000 + b"}"),
        "cut-fit": _written(fit[: len(fit) // 2]),
        "many-nodes": _written(many),
        "cut-fip": _written(fip[: len(fip) // 2]),
        "far-fip": _written(far),
        "cut-app": _written(app[:-4096]),
        "unsigned-app": _written(app.replace(b'{"rootHash"', bytes(11))),
        "changed-app": _written(app[:0x5000] + b"\1" + app[0x5001:]),
        "cut-raucb": _written(raucb[:-100]),
        "far-raucb": _written(raucb[:-8] + b"\xff" * 8),
        "changed-raucb": _written(b"\1" + raucb[1:]),
        "uimage": _written(of_kind[Kind.UBOOT_UIMAGE] + of_kind[Kind.UBOOT]),
        "gzip-bomb": _written(gzip.compress(bytes(64 << 20), 1, mtime=0)),
        "zstd-bomb": _written(zstandard.ZstdCompressor().compress(bytes(128 << 20))),
        "cut-ko": _written(ko[-60:]),
        "far-ko": _written(module_samples.module() + module_samples.trailer(b"", sig_len=1 << 31)),
        "changed-ko": _written(ko.replace(b"license=GPL", b"license=BSD")),
        "noise-ko": _written(module_samples.module() + module_samples.trailer(noise)),
        "many-sections": _written(sections),
        "elf": _written(of_kind[Kind.ELF] + noise),
        "bundle": _written(of_kind[Kind.BUNDLE]),
        "der": _written(of_kind[Kind.DER_PRIVATE_KEY]),
        "mbr": _written(of_kind[Kind.MBR]),
        "log": _written(of_kind[Kind.EVENT_LOG_12]),
    }
