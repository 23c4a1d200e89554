# SPDX-License-Identifier: MIT
"""Signed FIPs, and other certificates in them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tests import samples

from bootseal.firmware.chain import CHAIN, Counter, Key
from bootseal.firmware.sign import sign
from bootseal.firmware.verify import check
from bootseal.formats import fip

if TYPE_CHECKING:
    from bootseal.firmware.verify import FirmwareVerdict
    from bootseal.keys.signers.file import FileSigner

IMAGES = {"tb-fw": b"BL2" * 50, "soc-fw": b"BL31" * 60, "nt-fw": b"U-Boot" * 70}
ROWS = {row.image: row for row in CHAIN}


def signers(kind: str = "ecdsa256", first: int = 0, root: str = "") -> dict[Key, FileSigner]:
    kinds = dict.fromkeys(Key, kind) | ({Key.MRK: root} if root else {})
    return {key: samples.signer(kinds[key], first + number) for number, key in enumerate(Key)}


@cache
def signed(
    kind: str = "ecdsa256",
    first: int = 0,
    trusted: int = 1,
    nontrusted: int = 2,
    root: str = "",
    alignment: int = 16,
) -> bytes:
    """Return a signed FIP; other keys for another `first`."""
    unsigned = fip.parse(fip.emit(IMAGES, alignment=alignment))
    counters = {Counter.TRUSTED: trusted, Counter.NONTRUSTED: nontrusted}
    return sign(unsigned, signers(kind, first, root), counters)


def images(data: bytes) -> dict[str, bytes]:
    found = fip.parse(data)
    return {entry.name: data[entry.offset : entry.end] for entry in found.entries}


def with_images(data: bytes, **others: bytes) -> bytes:
    """Return a FIP with other images, named with underscores; an empty one is taken out."""
    found = images(data) | {name.replace("_", "-"): image for name, image in others.items()}
    return fip.emit({name: image for name, image in found.items() if image}, alignment=16)


def root_hash(kind: str = "ecdsa256", first: int = 0, root: str = "") -> str:
    return signers(kind, first, root)[Key.MRK].public_key.fingerprint()


def verdict(
    data: bytes, root: str | None = None, least: dict[Counter, int] | None = None
) -> FirmwareVerdict:
    return check(fip.parse(data), root or root_hash(), least)


def refused(data: bytes, root: str | None = None) -> list[tuple[str, str]]:
    return [(each.id, each.where) for each in verdict(data, root).findings]
