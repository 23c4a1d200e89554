# SPDX-License-Identifier: MIT
"""The check of a data partition: empty as shipped, wiped, or the volume that the device makes.

What no look at the disk can tell: what opens a key slot besides what its token says, whether the
volume key is the one that this device made, and whether encrypted blocks were put back or garbled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from bootseal.check.data import header as described
from bootseal.check.data import seal
from bootseal.check.data.header import ESCROWED, RECOVERY, TPM2, Difference, Stage
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats import luks2
from bootseal.measure.pcr_policy import PCRS
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.device import Partition
    from bootseal.disk.image import Disk
    from bootseal.findings.model import Finding
    from bootseal.formats.luks2 import Header
    from bootseal.keys.public import PublicKey

_HEADER_SIZE: Final = 16 * MIB
_MOST: Final = 16
_LONGEST: Final = 100


def check(
    disk: Disk,
    entry: Partition,
    policy_key: PublicKey | None,
    *,
    pcrs: Collection[tuple[int, ...]] = (PCRS,),
    declared: bool = False,
) -> Iterator[Finding]:
    """Yield what is wrong with a data partition.

    Args:
        disk: The disk.
        entry: The partition.
        policy_key: The key whose PCR policies may open it; None accepts any.
        pcrs: What these policies are over: what each release on the disk declares.
        declared: Whether the disk is built with it, so that no wipe explains what it holds.
    """
    used = disk.nonzero(entry.offset, entry.end)
    if used is None:
        return
    if used >= entry.offset + _HEADER_SIZE and not declared:
        yield finding(
            "disk.data-wiped",
            entry.name,
            f"was wiped: its first {_HEADER_SIZE // MIB} MiB are empty, and the data from "
            f"{used:#x} on is unreadable without them",
            offset=used,
        )
        return
    head = disk.read(entry.offset, min(2 * luks2.SIZES[-1], entry.size))
    try:
        header = luks2.parse(head)
    except FormatError as error:
        yield finding(
            "disk.data-header",
            entry.name,
            f"is neither empty nor LUKS2: {error.message}",
            offset=entry.offset,
        )
        return
    yield from inspect(header, entry, policy_key, pcrs)


def inspect(
    header: Header,
    entry: Partition,
    policy_key: PublicKey | None,
    pcrs: Collection[tuple[int, ...]] = (PCRS,),
) -> Iterator[Finding]:
    """Yield what is wrong with the header of a data partition."""
    stage = described.stage(header)
    yield finding(
        "disk.data-provisioned",
        entry.name,
        f"holds LUKS2 data, {stage}, with UUID {header.uuid}: it belongs to one device",
        offset=entry.offset,
    )
    found = _differences(header, policy_key, pcrs)
    for difference in islice(found, _MOST):
        yield _different(difference, entry)
    if more := sum(1 for _ in found):
        yield finding(
            "disk.data-metadata",
            entry.name,
            f"its LUKS2 header has {more} more such differences",
            offset=entry.offset,
        )
    if not any(segment.integrity for segment in header.segments):
        yield finding(
            "disk.data-integrity",
            entry.name,
            "has no integrity protection: anyone who can write to it can garble it undetected",
            offset=entry.offset,
        )
    if stage is not Stage.ERASED:
        yield from _slots(header, entry)


def _differences(
    header: Header, policy_key: PublicKey | None, pcrs: Collection[tuple[int, ...]]
) -> Iterator[Difference]:
    yield from described.differences(header)
    yield from described.contradictions(header)
    for token in header.tokens:
        if token.type == TPM2:
            yield from seal.differences(token, policy_key, pcrs)


def _different(difference: Difference, entry: Partition) -> Finding:
    """Make the finding of a field that the device would not write."""
    place, expected, observed = (_short(text) for text in difference)
    if place.startswith("tokens"):
        identifier = "disk.data-token"
    elif place.startswith("segments") or place.endswith(("encryption", "key_size")):
        identifier = "disk.data-cipher"
    else:
        identifier = "disk.data-metadata"
    return finding(
        identifier,
        entry.name,
        f"its LUKS2 header has {observed} at {place}: the device writes {expected}",
        offset=entry.offset,
        expected=difference.expected,
        observed=observed,
    )


def _slots(header: Header, entry: Partition) -> Iterator[Finding]:
    """Yield what the key slots give away: each must be the TPM's or the recovery key's."""
    handed_out = described.escrowed(header)
    owners = described.openers(header)
    for number, tokens in owners.items():
        kinds = {token.type for token in tokens}
        if RECOVERY in kinds:
            kept = "which was handed out" if number in handed_out else "which was not handed out"
            yield finding(
                "disk.data-recovery",
                entry.name,
                f"key slot {number} opens with a recovery key, {kept}: check who keeps it",
                offset=entry.offset,
            )
        elif not kinds and number in handed_out:
            yield finding(
                "disk.data-token",
                entry.name,
                f"key slot {number} is marked {ESCROWED}, and no token of type {RECOVERY} names it",
                offset=entry.offset,
            )
        elif not kinds:
            yield finding(
                "disk.data-passphrase",
                entry.name,
                f"key slot {number} opens with a secret that no token names, whatever was booted",
                offset=entry.offset,
                remedy="test whether the recovery key opens it (cryptsetup open "
                f"--test-passphrase --key-slot {number} DEVICE); if not: cryptsetup "
                f"luksKillSlot DEVICE {number}",
            )
    if not any(token.type == TPM2 for tokens in owners.values() for token in tokens):
        yield finding(
            "disk.data-no-tpm",
            entry.name,
            "has no key slot that the TPM opens",
            offset=entry.offset,
        )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
