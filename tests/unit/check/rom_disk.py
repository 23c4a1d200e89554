# SPDX-License-Identifier: MIT
"""The small disk with two banks of boot loaders behind its other partitions."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.unit.check.conftest import SIZES, TYPE, Base, make_fit, write_tables
from tests.unit.firmware import fips

from bootseal import documents
from bootseal.device import Firmware, Partition
from bootseal.firmware import rom
from bootseal.firmware.chain import Counter
from bootseal.firmware.sign import sign
from bootseal.formats import boot_partition, fip
from bootseal.formats.fit import model as fit_format
from bootseal.formats.uboot.binary import version_string
from bootseal.measure import firmware as measured
from bootseal.measure import pcr_policy
from bootseal.measure.predict import Prediction, predict
from bootseal.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

ROOT = fips.root_hash()
COUNTER = 3
VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)\0"
U_BOOT = b"code\0" + VERSION + b"bootdelay=-2\0bootcmd=run\0bootseal gate 1\0"
BANKS = {"fw-a": MIB, "fw-b": MIB}


def images(base: Base, root: str = ROOT) -> dict[str, bytes]:
    """Return images of boot loaders with the U-Boot of a disk."""
    bl2 = b"BL2" * 99 + rom.HEAD + bytes.fromhex(root) + b"rest"
    return {"tb-fw": bl2, "soc-fw": b"BL31" * 80, "nt-fw": base.target.control}


def signed(found: dict[str, bytes], counter: int = COUNTER, first: int = 0) -> bytes:
    """Return a FIP that is signed by the keys of `fips`."""
    unsigned = fip.parse(fip.emit(found, alignment=16))
    return sign(unsigned, fips.signers(first=first), dict.fromkeys(Counter, counter))


def released(base: Base, declared: int | None) -> Base:
    """Return the disk with a release that is for a boot ROM, its policy over the boot loader."""
    control = base.target.control
    if VERSION not in control:
        control = U_BOOT + control
    base = replace(base, target=replace(base.target, control=control))
    root_hash = bytes.fromhex(base.target.slots[0].root_hash)
    fit = make_fit(root_hash, base.signer, firmware_version=declared)
    found = predictions(base, fit)
    tail = boot_partition.pad_policy(documents.dump(pcr_policy.sign(found.values(), base.vendor)))
    slots = tuple(
        replace(slot, pcrs={str(n): v.hex() for n, v in found[slot.name].pcrs.items()})
        for slot in base.target.slots
    )
    image = bytearray(base.image)
    for slot in slots:
        start, size = base.offset(slot.boot), SIZES[slot.boot] * MIB
        image[start : start + size] = fit.ljust(size - len(tail), b"\0") + tail
    target = replace(base.target, slots=slots)
    return replace(base, image=bytes(image), fit=fit, target=target)


def predictions(
    base: Base, fit: bytes, found: dict[str, bytes] | None = None
) -> dict[str, Prediction]:
    """Predict the boot of each slot with boot loaders, the disk's own if none are given."""
    found = found or images(base)
    before = measured.events(
        {"bl2": found["tb-fw"], "bl31": found["soc-fw"], "bios": found["nt-fw"]}
    )
    model, version = fit_format.parse(fit), version_string(found["nt-fw"])
    return {slot: predict(model, f"conf-{slot}", version=version, before=before) for slot in "ab"}


def armed(base: Base, path: Path, *, declared: int | None = COUNTER) -> Base:
    """Return the disk with a boot loader in both banks, in a file.

    Args:
        base: The disk without banks.
        path: Where it goes.
        declared: What the FITs say of the security version of boot loaders.
    """
    base = released(base, declared)
    partitions = list(base.target.partitions)
    offset = used = partitions[-1].offset + partitions[-1].size
    for name, size in BANKS.items():
        number = len(partitions) + 1
        unique = str(uuid.UUID(int=number))
        partitions.append(
            Partition(number=number, name=name, type=TYPE, uuid=unique, offset=offset, size=size)
        )
        offset += size
    image = bytearray(offset + MIB)
    content = slice(MIB, used)
    image[content] = base.image[content]
    write_tables(image, partitions)
    package = signed(images(base))
    for each in partitions[-len(BANKS) :]:
        image[each.offset : each.offset + len(package)] = package
    path.write_bytes(image)
    target = replace(
        base.target,
        image=path,
        partitions=tuple(partitions),
        firmware=Firmware(mrk=ROOT, counter=COUNTER, banks=tuple(BANKS)),
    )
    return replace(base, image=bytes(image), target=target)
