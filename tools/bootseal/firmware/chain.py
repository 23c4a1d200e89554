# SPDX-License-Identifier: MIT
"""TF-A's chain of trust as a table: who signs each certificate, and what it certifies.

The signer, the verifier and the coverage map read this table, so none of them can know another
chain. The trusted OS (BL32), SCP and the updater are not part of it.

Spec: TF-A drivers/auth/tbbr/tbbr_cot_bl1.c and tbbr_cot_bl2.c, Arm DEN0006 (TBBR-CLIENT).
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from bootseal.formats import fip


class Key(StrEnum):
    """A key of the chain."""

    MRK = "mrk"
    TRUSTED = "fw-trusted"
    NONTRUSTED = "fw-nontrusted"
    SOC = "fw-soc"
    BOOT = "fw-boot"


class Counter(IntEnum):
    """A rollback counter, by the last number of its extension's OID."""

    TRUSTED = 1
    NONTRUSTED = 2


class Certificate(NamedTuple):
    """A certificate of the chain.

    Attributes:
        image: fiptool's name.
        common_name: What cert_create calls it.
        signer: The key that signs it.
        counter: The counter that it has.
        keys: Keys it vouches for, by the last number of the extension's OID.
        hashes: Images it vouches for, by fiptool's name, likewise.
    """

    image: str
    common_name: str
    signer: Key
    counter: Counter
    keys: dict[int, Key]
    hashes: dict[int, str]


# Every certificate behind the ones that vouch for its key.
CHAIN: Final = (
    Certificate(
        image="tb-fw-cert",
        common_name="Trusted Boot FW Certificate",
        signer=Key.MRK,
        counter=Counter.TRUSTED,
        keys={},
        hashes={201: "tb-fw", 202: "tb-fw-config", 203: "hw-config", 204: "fw-config"},
    ),
    Certificate(
        image="trusted-key-cert",
        common_name="Trusted Key Certificate",
        signer=Key.MRK,
        counter=Counter.TRUSTED,
        keys={302: Key.TRUSTED, 303: Key.NONTRUSTED},
        hashes={},
    ),
    Certificate(
        image="soc-fw-key-cert",
        common_name="SoC Firmware Key Certificate",
        signer=Key.TRUSTED,
        counter=Counter.TRUSTED,
        keys={501: Key.SOC},
        hashes={},
    ),
    Certificate(
        image="soc-fw-cert",
        common_name="SoC Firmware Content Certificate",
        signer=Key.SOC,
        counter=Counter.TRUSTED,
        keys={},
        hashes={603: "soc-fw", 604: "soc-fw-config"},
    ),
    Certificate(
        image="nt-fw-key-cert",
        common_name="Non-Trusted Firmware Key Certificate",
        signer=Key.NONTRUSTED,
        counter=Counter.NONTRUSTED,
        keys={1101: Key.BOOT},
        hashes={},
    ),
    Certificate(
        image="nt-fw-cert",
        common_name="Non-Trusted Firmware Content Certificate",
        signer=Key.BOOT,
        counter=Counter.NONTRUSTED,
        keys={},
        hashes={1201: "nt-fw", 1202: "nt-fw-config"},
    ),
)
REQUIRED: Final = ("tb-fw", "soc-fw", "nt-fw")
"""Images without which nothing starts."""
CERTIFICATES: Final = tuple(row.image for row in CHAIN)
HASHED: Final = frozenset(image for row in CHAIN for image in row.hashes.values())
"""Images that the chain vouches for."""


def missing(found: fip.Fip) -> list[str]:
    """Return the images without which nothing starts, and that are not in a FIP."""
    names = {entry.name for entry in found.entries}
    return [name for name in REQUIRED if name not in names]


def strangers(found: fip.Fip) -> list[str]:
    """Return the images of a FIP that the chain does not know."""
    known = HASHED | set(CERTIFICATES)
    return [entry.name for entry in found.entries if entry.name not in known]
