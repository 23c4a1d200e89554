# SPDX-License-Identifier: MIT
"""The small disk with two banks of boot loaders behind its other partitions."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.unit.check.conftest import TYPE, Base, write_tables
from tests.unit.firmware import fips

from bootseal.device import Firmware, Partition
from bootseal.firmware import rom
from bootseal.firmware.chain import Counter
from bootseal.firmware.sign import sign
from bootseal.formats import fip
from bootseal.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

ROOT = fips.root_hash()
COUNTER = 3
BANKS = {"fw-a": MIB, "fw-b": MIB}


def images(base: Base, root: str = ROOT) -> dict[str, bytes]:
    """Return images of boot loaders with the U-Boot of a disk."""
    bl2 = b"BL2" * 99 + rom.HEAD + bytes.fromhex(root) + b"rest"
    return {"tb-fw": bl2, "soc-fw": b"BL31" * 80, "nt-fw": base.target.control}


def signed(found: dict[str, bytes], counter: int = COUNTER, first: int = 0) -> bytes:
    """Return a FIP that is signed by the keys of `fips`."""
    unsigned = fip.parse(fip.emit(found, alignment=16))
    return sign(unsigned, fips.signers(first=first), dict.fromkeys(Counter, counter))


def armed(base: Base, path: Path) -> Base:
    """Return the disk with a boot loader in both banks, in a file."""
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
