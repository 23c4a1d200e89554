# SPDX-License-Identifier: MIT
"""The kinds of file that bootseal tells apart, and what to type when it is given one."""

from __future__ import annotations

import shlex
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """A kind of file. Its value completes the sentence "this is ..."."""

    UNKNOWN = "a file of unknown content"
    EMPTY = "an empty file"
    TEXT = "a text file"

    FIT = "a FIT"
    UBOOT_FIT = "a FIT that holds a U-Boot"
    CONTROL_TREE = "a control device tree with keys"
    OVERLAY = "a device tree overlay"
    BOARD_TREE = "a device tree"
    TREE = "a device tree that names neither a board nor images"

    FIP = "a firmware image package (FIP)"
    UBOOT = "a U-Boot binary"
    UIMAGE = "a legacy uImage"
    UBOOT_UIMAGE = "a legacy uImage that holds a U-Boot"
    ELF = "an ELF file"
    KERNEL_ARM64 = "an arm64 kernel Image"
    KERNEL_RISCV = "a RISC-V kernel Image"
    KERNEL_ZIMAGE = "an Arm zImage"
    KERNEL_BZIMAGE = "an x86 bzImage"
    KERNEL_ZBOOT = "an EFI zboot kernel"
    EFI = "an EFI program"

    GZIP = "a file compressed with gzip"
    XZ = "a file compressed with xz"
    ZSTD = "a file compressed with zstd"
    LZ4 = "a file compressed with lz4"
    BZIP2 = "a file compressed with bzip2"
    LZO = "a file compressed with lzop"
    LZMA = "a file compressed with lzma"
    LZIP = "a file compressed with lzip"
    ZIP = "a ZIP archive"
    TAR = "a tar archive"
    CPIO = "a cpio archive"

    PRIVATE_KEY = "a private key in PEM form"
    PUBLIC_KEY = "a public key in PEM form"
    CERTIFICATE = "a certificate in PEM form"
    BUNDLE = "a PEM bundle with a certificate and a private key"
    PEM = "a PEM file without a key or certificate"
    KEY_REFERENCE = "a reference to a key in a token or service"
    DER_PRIVATE_KEY = "a private key in DER form"
    DER_PUBLIC_KEY = "a public key in DER form"
    DER_CERTIFICATE = "a certificate in DER form"
    PKCS12 = "a PKCS#12 file"

    GPT = "a disk with a GPT"
    GPT_4096 = "a disk with a GPT and sectors of 4096 bytes"
    MBR = "a disk with an MBR (DOS) partition table"
    QCOW2 = "a qcow2 disk image"
    VMDK = "a VMDK disk image"
    VHDX = "a VHDX disk image"
    VDI = "a VDI disk image"
    ANDROID_SPARSE = "an Android sparse image"
    LUKS1 = "a LUKS1 volume"
    LUKS2 = "a LUKS2 volume"
    EXT = "an ext2, ext3 or ext4 file system"
    FAT = "a FAT file system"
    SQUASHFS = "a SquashFS file system"
    EROFS = "an EROFS file system"
    VERITY = "a dm-verity hash tree"
    BMAP = "a block map"

    EVENT_LOG = "a TPM 2.0 event log"
    EVENT_LOG_12 = "a TPM 1.2 event log"
    JSON = "a JSON document"


KERNELS: Final = frozenset(
    {
        Kind.KERNEL_ARM64,
        Kind.KERNEL_RISCV,
        Kind.KERNEL_ZIMAGE,
        Kind.KERNEL_BZIMAGE,
        Kind.KERNEL_ZBOOT,
    }
)
COMPRESSED: Final = frozenset(
    {
        Kind.GZIP,
        Kind.XZ,
        Kind.ZSTD,
        Kind.LZ4,
        Kind.BZIP2,
        Kind.LZO,
        Kind.LZMA,
        Kind.LZIP,
    }
)
FILE_SYSTEMS: Final = frozenset({Kind.EXT, Kind.FAT, Kind.SQUASHFS, Kind.EROFS})
PRIVATE_KEYS: Final = frozenset(
    {Kind.PRIVATE_KEY, Kind.BUNDLE, Kind.DER_PRIVATE_KEY, Kind.PKCS12, Kind.KEY_REFERENCE}
)
"""What holds or names a private key, encrypted or not, so that its permissions matter."""

_UNDECIDED: Final = frozenset({Kind.UNKNOWN, Kind.EMPTY, Kind.TEXT})


class Wanted(NamedTuple):
    """What a reader accepts: its name in messages, and the kinds of file."""

    phrase: str
    kinds: frozenset[Kind]

    def takes(self, kind: Kind) -> bool:
        """Say whether the reader may try; it reports unrecognised input itself."""
        return kind in self.kinds or kind in _UNDECIDED


FIT: Final = Wanted("a FIT", frozenset({Kind.FIT, Kind.UBOOT_FIT, Kind.TREE}))
U_BOOT: Final = Wanted(
    "U-Boot or its control device tree",
    frozenset(
        {
            *(Kind.CONTROL_TREE, Kind.BOARD_TREE, Kind.TREE),
            *(Kind.UBOOT, Kind.UBOOT_FIT, Kind.UBOOT_UIMAGE, Kind.ELF),
        }
    ),
)
U_BOOT_BINARY: Final = Wanted(
    "U-Boot's binary, or a FIP with it", frozenset({Kind.UBOOT, Kind.ELF, Kind.FIP})
)
FIP: Final = Wanted("a firmware image package (FIP)", frozenset({Kind.FIP}))
FIRMWARE: Final = Wanted(
    "a raw boot loader, a device tree or a certificate in DER form",
    frozenset(
        {
            *(Kind.UBOOT, Kind.KERNEL_ARM64, Kind.DER_CERTIFICATE),
            *(Kind.BOARD_TREE, Kind.TREE, Kind.CONTROL_TREE),
        }
    ),
)
KERNEL: Final = Wanted(
    "a kernel as U-Boot unpacks it: raw, or compressed with gzip, zstd, lz4, lzma, bzip2 or lzo",
    KERNELS - {Kind.KERNEL_ZBOOT}
    | {Kind.GZIP, Kind.ZSTD, Kind.LZ4, Kind.LZMA, Kind.BZIP2, Kind.LZO},
)
BOARD_TREE: Final = Wanted(
    "a device tree", frozenset({Kind.BOARD_TREE, Kind.OVERLAY, Kind.TREE, Kind.CONTROL_TREE})
)
RAMDISK: Final = Wanted(
    "an initial RAM file system, a cpio archive or a file system, compressed or not",
    COMPRESSED | FILE_SYSTEMS | {Kind.CPIO},
)
DISK: Final = Wanted(
    "a disk image with a GPT, as it is or compressed with gzip or zstd",
    # The reader of partition tables names an MBR itself, and shows what is in it.
    frozenset({Kind.GPT, Kind.MBR, Kind.GZIP, Kind.ZSTD}),
)
RAW_DISK: Final = Wanted("a disk image with a GPT", frozenset({Kind.GPT}))
MEASURED: Final = Wanted("a FIT or a disk image with a GPT", FIT.kinds | RAW_DISK.kinds)
SIGNING_KEY: Final = Wanted(
    "a private key in PEM form",
    frozenset({Kind.PRIVATE_KEY, Kind.BUNDLE, Kind.KEY_REFERENCE}),
)
PUBLIC_KEY: Final = Wanted("a public key in PEM form", frozenset({Kind.PUBLIC_KEY}))
CERTIFICATE: Final = Wanted("a certificate in PEM form", frozenset({Kind.CERTIFICATE, Kind.BUNDLE}))
KEY_FILE: Final = Wanted(
    "a private key, public key or certificate in PEM form",
    frozenset({Kind.PRIVATE_KEY, Kind.PUBLIC_KEY, Kind.CERTIFICATE, Kind.BUNDLE}),
)
APPLICATION: Final = Wanted("an application image", frozenset({Kind.GPT}))
TAR_LAYER: Final = Wanted(
    "a tar archive, as it is or compressed with gzip or zstd",
    frozenset({Kind.TAR, Kind.GZIP, Kind.ZSTD}),
)
UPDATE: Final = Wanted("an update bundle", frozenset({Kind.SQUASHFS}))
EVENT_LOG: Final = Wanted("an event log", frozenset({Kind.EVENT_LOG, Kind.EVENT_LOG_12}))
DOCUMENT: Final = Wanted("a JSON document", frozenset({Kind.JSON}))
BMAP: Final = Wanted("a block map", frozenset({Kind.BMAP}))
TEXT: Final = Wanted("a text file", frozenset({Kind.TEXT}))
BOARD_SOURCE: Final = Wanted(
    "a device tree, as source or compiled", frozenset({Kind.BOARD_TREE, Kind.TREE})
)

_PAYLOAD: Final = "dumpimage -p 0 -o payload {file}  (takes out what it holds)"
_RAW: Final = "qemu-img convert -O raw {file} disk.img"
_WHOLE: Final = "name the whole disk, of which this is one partition"
_SHOW_KEY: Final = "bootseal keys show {file}"
_ELSEWHERE: Final = "bootseal keys list DIR  (shows what the directory refers to)"

# What to type next when a file of this kind was not what was wanted.
_NEXT: Final[dict[Kind, str]] = {
    Kind.FIT: "bootseal fit show {file}",
    Kind.UBOOT_FIT: "bootseal fit show {file}",
    Kind.CONTROL_TREE: "bootseal fit verify FIT --dtb {file}",
    Kind.OVERLAY: "fdtoverlay -i BOARD.dtb -o merged.dtb {file}",
    Kind.BOARD_TREE: "bootseal fit build --fdt NAME={file} ...  (puts it into a FIT)",
    Kind.TREE: "fdtdump {file}",
    Kind.FIP: "bootseal firmware show {file}",
    Kind.UBOOT: "bootseal doctor --u-boot {file}",
    Kind.UIMAGE: _PAYLOAD,
    Kind.UBOOT_UIMAGE: _PAYLOAD,
    Kind.ELF: "readelf -h {file}",
    Kind.KERNEL_ZBOOT: "use Image or Image.gz of the same build",
    Kind.GZIP: "gunzip -k {file}",
    Kind.XZ: "xz -dk {file}",
    Kind.ZSTD: "zstd -d {file}",
    Kind.LZ4: "lz4 -d {file}",
    Kind.BZIP2: "bunzip2 -k {file}",
    Kind.LZO: "lzop -d {file}",
    Kind.LZMA: "xz -dk --format=lzma {file}",
    Kind.LZIP: "lzip -dk {file}",
    Kind.ZIP: "unzip {file}",
    Kind.TAR: "tar -xf {file}",
    Kind.CPIO: "bootseal fit build --ramdisk {file} ...  (puts it into a FIT)",
    Kind.PRIVATE_KEY: _SHOW_KEY,
    Kind.PUBLIC_KEY: _SHOW_KEY,
    Kind.CERTIFICATE: _SHOW_KEY,
    Kind.BUNDLE: _SHOW_KEY,
    Kind.KEY_REFERENCE: _ELSEWHERE,
    Kind.DER_PRIVATE_KEY: "openssl pkey -inform DER -in {file} -out key.pem",
    Kind.DER_PUBLIC_KEY: "openssl pkey -pubin -inform DER -in {file} -out key.pub",
    Kind.DER_CERTIFICATE: "openssl x509 -inform DER -in {file} -out certificate.crt",
    Kind.PKCS12: "openssl pkcs12 -in {file} -out bundle.pem",
    Kind.GPT: "bootseal disk show {file}",
    Kind.GPT_4096: "build the image with sectors of 512 bytes",
    Kind.MBR: "in the .wks file: bootloader --ptable gpt",
    Kind.QCOW2: _RAW,
    Kind.VMDK: _RAW,
    Kind.VHDX: _RAW,
    Kind.VDI: _RAW,
    Kind.ANDROID_SPARSE: "simg2img {file} disk.img",
    Kind.LUKS1: _WHOLE,
    Kind.LUKS2: _WHOLE,
    Kind.EXT: _WHOLE,
    Kind.FAT: _WHOLE,
    Kind.SQUASHFS: _WHOLE,
    Kind.EROFS: _WHOLE,
    Kind.VERITY: _WHOLE,
    Kind.BMAP: "bootseal disk show {file}  (reads the image next to it)",
    Kind.EVENT_LOG: "bootseal measure log {file}",
    Kind.EVENT_LOG_12: "bootseal measure log {file}",
    Kind.JSON: "grep '\"schema\"' {file}  (names what it is)",
}
# Where something better than that can be said, because of what was wanted.
_NEXT_FOR: Final[dict[tuple[Kind, Wanted], str]] = {
    (Kind.FIT, KERNEL): "bootseal fit extract {file} kernel-1 -o Image",
    (Kind.FIT, BOARD_TREE): "bootseal fit extract {file} fdt-1 -o board.dtb",
    (Kind.FIT, U_BOOT): "name U-Boot's own device tree: u-boot.dtb, or u-boot.bin, which holds it",
    (Kind.ELF, KERNEL): "objcopy -O binary {file} Image  (or use Image of the same build)",
    (Kind.ELF, FIRMWARE): "objcopy -O binary {file} image.bin  (or use the .bin of the build)",
    (Kind.CERTIFICATE, PUBLIC_KEY): "openssl x509 -in {file} -noout -pubkey > key.pub",
    (Kind.BUNDLE, PUBLIC_KEY): "openssl x509 -in {file} -noout -pubkey > key.pub",
    (Kind.PRIVATE_KEY, PUBLIC_KEY): "openssl pkey -in {file} -pubout -out key.pub",
}


def advice(kind: Kind, wanted: Wanted, name: str) -> str:
    """Return what to type when `name` is of this kind and something else was wanted.

    >>> advice(Kind.XZ, DISK, "a b.xz")
    "xz -dk 'a b.xz'"
    """
    text = _NEXT_FOR.get((kind, wanted)) or _NEXT.get(kind, "")
    return text.replace("{file}", shlex.quote(name))
