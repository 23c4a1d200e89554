# SPDX-License-Identifier: MIT
"""A small signed disk with two slots, made in memory without any program."""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bootseal import documents
from bootseal.check import disk as disk_check
from bootseal.check.expected import Expected
from bootseal.device import Partition, Slot
from bootseal.disk import image as source
from bootseal.findings.model import Severity
from bootseal.fit import control_dtb
from bootseal.fit.sign import sign
from bootseal.formats import boot_partition, verity
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.uboot import slot_state
from bootseal.keys.signers.file import FileSigner
from bootseal.measure import pcr_policy
from bootseal.measure.predict import FIRMWARE_PROPERTY, predict
from bootseal.progress import Silent
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bootseal.check.disk import DiskVerdict

SIZE = 12 * MIB
BLOCKS = 300
SALT = bytes(range(32))
TYPE = "b921b045-1df0-41c3-af44-4c6f280d3fae"
DISK = uuid.UUID(int=7)
SIZES = {
    "bootstate": 1,
    "boot-a": 1,
    "boot-b": 1,
    "root-a": 2,
    "root-a-verity": 1,
    "root-b": 2,
    "root-b-verity": 1,
}
STATE = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}


def declared() -> tuple[Partition, ...]:
    found, offset = [], MIB
    for number, (name, size) in enumerate(SIZES.items(), start=1):
        unique = str(uuid.UUID(int=number))
        part = Partition(
            number=number, name=name, type=TYPE, uuid=unique, offset=offset, size=size * MIB
        )
        found.append(part)
        offset += part.size
    return tuple(found)


def pack_entries(partitions: Sequence[Partition]) -> bytes:
    table = bytearray(128 * 128)
    for each in partitions:
        struct.pack_into(
            "<16s16s3Q72s",
            table,
            (each.number - 1) * 128,
            uuid.UUID(each.type).bytes_le,
            uuid.UUID(each.uuid).bytes_le,
            each.offset // 512,
            (each.offset + each.size) // 512 - 1,
            0,
            each.name.encode("utf-16-le"),
        )
    return bytes(table)


def pack_header(content: bytes, size: int, *, backup: bool, **changes: int) -> bytes:
    last = size // 512 - 1
    fields = {
        "revision": 0x10000,
        "length": 92,
        "crc": 0,
        "reserved": 0,
        "place": last if backup else 1,
        "other": 1 if backup else last,
        "first": 2048,
        "last": last - 33,
        "entries": last - 32 if backup else 2,
        "count": 128,
        "each": 128,
        "table": zlib.crc32(content),
    } | changes
    numbers = list(fields.values())
    body = [b"EFI PART", *numbers[:8], DISK.bytes_le, *numbers[8:]]
    header = bytearray(struct.pack("<8s4I4Q16sQ3I", *body))
    if "crc" not in changes:
        header[16:20] = zlib.crc32(header).to_bytes(4, "little")
    return bytes(header).ljust(512, b"\0")


def pack_mbr(size: int) -> bytes:
    record = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, size // 512 - 1)
    return bytes(446) + record + bytes(48) + b"\x55\xaa"


def tables(partitions: Sequence[Partition], size: int) -> dict[int, bytes]:
    """Return the tables of a disk by their offset."""
    table = pack_entries(partitions)
    return {
        0: pack_mbr(size),
        512: pack_header(table, size, backup=False),
        1024: table,
        size - 512 - len(table): table,
        size - 512: pack_header(table, size, backup=True),
    }


def write_tables(image: bytearray, partitions: Sequence[Partition]) -> None:
    for place, content in tables(partitions, len(image)).items():
        image[place : place + len(content)] = content


def make_tree(data: bytes) -> tuple[bytes, bytes]:
    """Return the root hash and the partition with the tree."""
    levels = [verity.digests(SALT, data)]
    blocks: list[bytes] = []
    while len(levels[-1]) > verity.DIGEST:
        size = -(-len(levels[-1]) // verity.BLOCK) * verity.BLOCK
        blocks.append(levels[-1].ljust(size, b"\0"))
        levels.append(verity.digests(SALT, blocks[-1]))
    head = struct.pack(
        "<8sII16s32sIIQH6x256s168x",
        b"verity\0\0", 1, 1, uuid.UUID(int=9).bytes, b"sha256", 4096, 4096,
        len(data) // 4096, len(SALT), SALT,
    )  # fmt: skip
    return levels[-1], head.ljust(4096, b"\0") + b"".join(reversed(blocks))


def make_fit(
    root_hash: bytes,
    signer: FileSigner,
    *,
    arguments: str = "",
    blocks: int = BLOCKS,
    kernel: bytes = b"kernel " * 900,
    firmware_version: int | None = None,
) -> bytes:
    def image(name: str, kind: str, data: bytes) -> fdt.Node:
        properties = {"data": data, "type": kind.encode() + b"\0", "compression": b"none\0"}
        if kind == "kernel":
            properties |= {"load": (0x40400000).to_bytes(4), "entry": (0x40400000).to_bytes(4)}
        value = hashlib.sha256(data).digest()
        node = fdt.Node("hash-1", {"algo": b"sha256\0", "value": value})
        return fdt.Node(name, properties, [node])

    def board(slot: str) -> bytes:
        text = (
            f"quiet bootseal.slot={slot} bootseal.roothash={root_hash.hex()} "
            f"bootseal.salt={SALT.hex()} bootseal.blocks={blocks}{arguments}"
        )
        chosen = fdt.Node("chosen", {"bootargs": text.encode() + b"\0"})
        if firmware_version is not None:
            chosen.properties[FIRMWARE_PROPERTY] = firmware_version.to_bytes(4)
        return fdt.emit(fdt.Node("", {}, [chosen]))

    def configuration(slot: str) -> fdt.Node:
        signature = {
            "algo": b"sha256,rsa2048\0",
            "key-name-hint": b"dev\0",
            "sign-images": b"kernel\0fdt\0ramdisk\0",
        }
        names = {"kernel": b"kernel-1\0", "fdt": f"fdt-{slot}\0".encode(), "ramdisk": b"rd\0"}
        return fdt.Node(f"conf-{slot}", names, [fdt.Node("signature-1", signature)])

    images = [
        image("kernel-1", "kernel", kernel),
        image("rd", "ramdisk", b"ramdisk" * 700),
        *(image(f"fdt-{slot}", "flat_dt", board(slot)) for slot in "ab"),
    ]
    nodes = [
        fdt.Node("images", {}, images),
        fdt.Node("configurations", {"default": b"conf-a\0"}, [configuration(s) for s in "ab"]),
    ]
    tree = fdt.Node("", {"timestamp": bytes(4), "description": b"a test\0"}, nodes)
    return sign(fdt.emit(tree), signer, "dev", timestamp=1_700_000_001)


@dataclass(frozen=True, kw_only=True)
class Base:
    """The good disk and what it was made from."""

    image: bytes
    target: Expected
    signer: FileSigner
    vendor: FileSigner
    fit: bytes

    def offset(self, name: str) -> int:
        return next(p.offset for p in self.target.partitions if p.name == name)

    def changed(self, place: str, offset: int, content: bytes) -> bytes:
        """Return the disk with other bytes at an offset of a partition, or of the disk."""
        at = offset + (self.offset(place) if place else 0)
        return self.image[:at] + content + self.image[at + len(content) :]

    def flipped(self, place: str, offset: int) -> bytes:
        """Return the disk with one bit inverted."""
        at = offset + (self.offset(place) if place else 0)
        return self.changed("", at, bytes([self.image[at] ^ 1]))

    def partitioned(self, partitions: Sequence[Partition]) -> bytes:
        """Return the disk with other partition tables."""
        image = bytearray(self.image)
        write_tables(image, partitions)
        return bytes(image)

    def with_header(self, *, backup: bool = False, **changes: int) -> bytes:
        """Return the disk with other numbers in one of its headers, and a good checksum."""
        header = pack_header(pack_entries(declared()), SIZE, backup=backup, **changes)
        return self.changed("", SIZE - 512 if backup else 512, header)

    def with_fit(self, place: str, *, arguments: str) -> bytes:
        """Return the disk with another FIT, signed by the right key, in a boot partition."""
        fit = make_fit(
            bytes.fromhex(self.target.slots[0].root_hash), self.signer, arguments=arguments
        )
        return self.changed(place, 0, fit.ljust(len(self.fit), b"\0"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("disk"))


def make_base(directory: Path) -> Base:
    """Make the good disk in a directory, with keys of its own."""
    key, vendor = (
        FileSigner(rsa.generate_private_key(public_exponent=65537, key_size=2048)) for _ in "12"
    )
    data = b"".join(hashlib.sha256(bytes([n % 251, n // 251])).digest() * 128 for n in range(280))
    data = data.ljust(BLOCKS * 4096, b"\0")
    root_hash, tree = make_tree(data)
    fit = make_fit(root_hash, key)
    predictions = {slot: predict(fit_format.parse(fit), f"conf-{slot}") for slot in "ab"}
    tail = boot_partition.pad_policy(documents.dump(pcr_policy.sign(predictions.values(), vendor)))
    image = bytearray(SIZE)
    write_tables(image, declared())
    contents = {"bootstate": slot_state.emit(STATE, MIB), "root": data, "verity": tree}
    for each in declared():
        content = contents.get(each.name.split("-")[-1], contents["root"])
        if each.name.startswith("boot-"):
            content = fit.ljust(each.size - 64 * KIB, b"\0") + tail
        image[each.offset : each.offset + len(content)] = content
    tree_of = fdt.emit(fdt.Node("", {"model": b"board\0"}, [fdt.Node("chosen")]))
    control = control_dtb.add_key(tree_of, key.public_key, hint="dev", algorithm="sha256,rsa2048")
    slots = tuple(
        Slot(
            name=slot,
            configuration=f"conf-{slot}",
            boot=f"boot-{slot}",
            root=f"root-{slot}",
            verity=f"root-{slot}-verity",
            root_hash=root_hash.hex(),
            pcrs={str(n): value.hex() for n, value in predictions[slot].pcrs.items()},
        )
        for slot in "ab"
    )
    target = Expected(
        image=directory / "disk.img",
        control=control,
        partitions=declared(),
        slots=slots,
        policy_key=vendor.public_key,
        fit_key=key.public_key.fingerprint(),
    )
    target.image.write_bytes(image)
    return Base(image=bytes(image), target=target, signer=key, vendor=vendor, fit=fit)


@pytest.fixture
def check_image(base: Base, tmp_path: Path) -> Callable[..., DiskVerdict]:
    """Check an image: the good one or other bytes, against the good target or a changed one."""

    def run(
        image: bytes | None = None, change: Callable[[Expected], Expected] | None = None
    ) -> DiskVerdict:
        path = tmp_path / "disk.img"
        path.write_bytes(base.image if image is None else image)
        target = replace(base.target, image=path)
        if change is not None:
            target = change(target)
        with source.opened(target.image) as disk:
            return disk_check.check(disk, target, Silent(), inside=False)

    return run


@pytest.fixture
def errors(check_image: Callable[..., DiskVerdict]) -> Callable[..., dict[str, str]]:
    """Check an image and return the errors: id to the place of the first."""

    def run(
        image: bytes | None = None, change: Callable[[Expected], Expected] | None = None
    ) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in check_image(image, change).findings:
            if each.severity is Severity.ERROR:
                found.setdefault(each.id, each.where)
        return found

    return run
