# SPDX-License-Identifier: MIT
"""One small file of each kind that bootseal tells apart, made without other programs."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import uuid
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

import zstandard
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from tests import samples

from bootseal.formats import fip
from bootseal.formats.fdt import model as fdt
from bootseal.formats.kinds.kind import Kind

if TYPE_CHECKING:
    from pathlib import Path

_PLAIN: Final = b"the content of something " * 40
_DER, _PEM = serialization.Encoding.DER, serialization.Encoding.PEM
_SPKI: Final = serialization.PublicFormat.SubjectPublicKeyInfo
_PKCS8: Final = serialization.PrivateFormat.PKCS8


def files(directory: Path) -> dict[Kind, bytes]:
    """Return a file of each kind.

    Args:
        directory: Where a key and its certificate may be written.
    """
    return _trees() | _programs() | _packed() | _keys(directory) | _disks() | _documents()


def _trees() -> dict[Kind, bytes]:
    sample = samples.sample("sha256,rsa2048")
    uboot = fdt.Node(
        "",
        {"description": b"FIT\0"},
        [
            fdt.Node(
                "images",
                {},
                [
                    fdt.Node("uboot", {"data": _PLAIN, "type": b"firmware\0", "os": b"u-boot\0"}),
                    fdt.Node("fdt-1", {"data": sample.control, "type": b"flat_dt\0"}),
                ],
            ),
            fdt.Node("configurations", {}, [fdt.Node("c", {"firmware": b"uboot\0"})]),
        ],
    )
    overlay = fdt.Node("", {}, [fdt.Node("fragment@0", {}, [fdt.Node("__overlay__")])])
    board = fdt.Node("", {"compatible": b"acme,board\0"}, [fdt.Node("chosen")])
    return {
        Kind.FIT: sample.fit,
        Kind.UBOOT_FIT: fdt.emit(uboot),
        Kind.CONTROL_TREE: sample.control,
        Kind.OVERLAY: fdt.emit(overlay),
        Kind.BOARD_TREE: fdt.emit(board),
        Kind.TREE: fdt.emit(fdt.Node("")),
    }


def _at(*pieces: tuple[int, bytes], size: int = 4096) -> bytes:
    data = bytearray(size)
    for offset, piece in pieces:
        data[offset : offset + len(piece)] = piece
    return bytes(data)


def _uimage(system: int, kind: int) -> bytes:
    header = struct.pack(">7I4B32s", 0x27051956, 0, 0, 4096, 0, 0, 0, system, 22, kind, 0, b"name")
    return header + _PLAIN


def _programs() -> dict[Kind, bytes]:
    version = b"U-Boot 2026.01 (Nov 22 2026 - 04:49:03 +0000)\0"
    return {
        Kind.FIP: fip.emit({"tb-fw": _PLAIN, "nt-fw": _PLAIN}),
        Kind.UBOOT: _at((0, b"\x0a\0\0\x14"), (3000, version)) + _trees()[Kind.CONTROL_TREE],
        Kind.UIMAGE: _uimage(5, 2),
        Kind.UBOOT_UIMAGE: _uimage(17, 5),
        Kind.ELF: _at((0, b"\x7fELF\x02\x01\x01")),
        Kind.KERNEL_ARM64: _at((0, b"MZ"), (56, b"ARM\x64")),
        Kind.KERNEL_RISCV: _at((48, b"RISCV\0\0\0RSC\x05")),
        Kind.KERNEL_ZIMAGE: _at((0x24, struct.pack("<I", 0x016F2818))),
        Kind.KERNEL_BZIMAGE: _at((510, b"\x55\xaa"), (0x202, b"HdrS")),
        Kind.KERNEL_ZBOOT: _at((0, b"MZ\0\0zimg")),
        Kind.EFI: _at((0, b"MZ"), (64, b"PE\0\0")),
    }


def _packed() -> dict[Kind, bytes]:
    archive, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a", _PLAIN)
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    return {
        Kind.GZIP: gzip.compress(_PLAIN, mtime=0),
        Kind.XZ: lzma.compress(_PLAIN),
        Kind.ZSTD: zstandard.ZstdCompressor().compress(_PLAIN),
        Kind.LZ4: b"\x04\x22\x4d\x18" + _PLAIN,
        Kind.BZIP2: bz2.compress(_PLAIN),
        Kind.LZO: b"\x89LZO\0\r\n\x1a\n" + _PLAIN,
        Kind.LZMA: lzma.compress(_PLAIN, format=lzma.FORMAT_ALONE),
        Kind.LZIP: b"LZIP\x01\x0c" + _PLAIN,
        Kind.ZIP: archive.getvalue(),
        Kind.TAR: tarred.getvalue(),
        Kind.CPIO: b"070701" + b"0" * 200,
    }


def _keys(directory: Path) -> dict[Kind, bytes]:
    key = samples.signer("rsa2048", 1)._private
    samples.write_key(directory, "kinds", key)
    private = (directory / "kinds.key").read_bytes()
    certificate = (directory / "kinds.crt").read_bytes()
    public = key.public_key()
    plain = serialization.NoEncryption()
    loaded = x509.load_pem_x509_certificate(certificate)
    return {
        Kind.PRIVATE_KEY: private,
        Kind.PUBLIC_KEY: public.public_bytes(_PEM, _SPKI),
        Kind.CERTIFICATE: certificate,
        Kind.BUNDLE: certificate + private,
        Kind.PEM: b"-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n",
        Kind.KEY_REFERENCE: b"bootseal-signer: pkcs11:token=none;object=none\n",
        Kind.DER_PRIVATE_KEY: key.private_bytes(_DER, _PKCS8, plain),
        Kind.DER_PUBLIC_KEY: public.public_bytes(_DER, _SPKI),
        Kind.DER_CERTIFICATE: loaded.public_bytes(_DER),
        Kind.PKCS12: pkcs12.serialize_key_and_certificates(b"a", key, loaded, None, plain),
    }


def gpt_disk(*, sector: int = 512, sectors: int = 4096) -> bytes:
    """Return a disk with one partition and a primary GPT, and no backup."""
    entry = uuid.uuid4().bytes_le * 2 + struct.pack("<3Q", 40, 47, 0) + "boot-a".encode("utf-16-le")
    entries = entry.ljust(128, b"\0") + bytes(127 * 128)
    fields: list[object] = [b"EFI PART", 0x10000, 92, 0, 0, 1, sectors - 1, 34, sectors - 34]
    fields += [bytes(16), 2, 128, 128, zlib.crc32(entries)]
    layout = struct.Struct("<8s4I4Q16sQ3I")
    fields[3] = zlib.crc32(layout.pack(*fields))
    record = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, sectors - 1)
    header = layout.pack(*fields)
    pieces = ((446, record), (510, b"\x55\xaa"), (sector, header), (2 * sector, entries))
    return _at(*pieces, size=sector * sectors)


def _disks() -> dict[Kind, bytes]:
    linux = struct.pack("<B3sB3sII", 0x80, b"\0\0\0", 0x83, b"\0\0\0", 2048, 8192)
    return {
        Kind.GPT: gpt_disk(),
        Kind.GPT_4096: gpt_disk(sector=4096, sectors=512),
        Kind.MBR: _at((440, b"disk"), (446, linux), (510, b"\x55\xaa"), size=1 << 20),
        Kind.QCOW2: _at((0, b"QFI\xfb\0\0\0\3")),
        Kind.VMDK: _at((0, b"KDMV\1\0\0\0")),
        Kind.VHDX: _at((0, b"vhdxfile")),
        Kind.VDI: _at((0, b"<<< disk >>>\n"), (64, b"\x7f\x10\xda\xbe")),
        Kind.ANDROID_SPARSE: _at((0, bytes.fromhex("3aff26ed01000000"))),
        Kind.LUKS1: _at((0, b"LUKS\xba\xbe\0\1")),
        Kind.LUKS2: _at((0, b"LUKS\xba\xbe\0\2")),
        Kind.EXT: _at((1048, b"\2"), (1080, b"\x53\xef"), (1100, b"\1")),
        Kind.FAT: _at((0, b"\xeb\x58\x90mkfs.fat"), (82, b"FAT32   "), (510, b"\x55\xaa")),
        Kind.SQUASHFS: _at((0, b"hsqs")),
        Kind.EROFS: _at((1024, bytes.fromhex("e2e1f5e0"))),
        Kind.VERITY: _at((0, b"verity\0\0\1")),
    }


def _event(pcr: int, kind: int, digest: bytes, data: bytes) -> bytes:
    return struct.pack("<II20sI", pcr, kind, digest, len(data)) + data


def _documents() -> dict[Kind, bytes]:
    agile = b"Spec ID Event03\0" + struct.pack("<I4BIHHB", 0, 0, 2, 0, 2, 1, 11, 32, 0)
    old = _event(0, 8, b"\1" * 20, b"version\0") + _event(7, 4, b"\2" * 20, bytes(4))
    return {
        Kind.BMAP: b'<?xml version="1.0" ?>\n<bmap version="2.0">\n</bmap>\n',
        Kind.EVENT_LOG: _event(0, 3, bytes(20), agile),
        Kind.EVENT_LOG_12: old,
        Kind.JSON: json.dumps({"schema": "some.other/1"}).encode(),
        Kind.TEXT: b"hello\n",
        Kind.EMPTY: b"",
        Kind.UNKNOWN: b"\1\2\3\0" * 500,
    }
