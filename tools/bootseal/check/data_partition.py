# SPDX-License-Identifier: MIT
"""The data partition: empty as shipped, or LUKS2 that only an approved boot can open."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.formats import luks2
from bootseal.keys import public
from bootseal.measure.pcr_policy import PCRS

if TYPE_CHECKING:
    from bootseal.device import Partition
    from bootseal.disk.image import Disk
    from bootseal.findings.model import Finding
    from bootseal.formats.luks2 import Header, Token
    from bootseal.keys.public import PublicKey

TPM2: Final = "systemd-tpm2"
RECOVERY: Final = "systemd-recovery"

_CIPHERS: Final = {"aes-xts-plain64": 64, "aes-xts-plain": 64, "capi:gcm(aes)-random": 32}
"""Ciphers that are accepted, and the smallest volume key in bytes."""


def check(disk: Disk, entry: Partition, policy_key: PublicKey | None) -> Iterator[Finding]:
    """Yield what is wrong with a data partition.

    Args:
        disk: The disk.
        entry: The partition.
        policy_key: The key whose PCR policies may open it; None accepts any.
    """
    if disk.nonzero(entry.offset, entry.end) is None:
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
    yield from inspect(header, entry, policy_key)


def inspect(header: Header, entry: Partition, policy_key: PublicKey | None) -> Iterator[Finding]:
    """Yield what is wrong with the header of a data partition."""
    yield finding(
        "disk.data-provisioned",
        entry.name,
        f"holds LUKS2 data with UUID {header.uuid}: it belongs to one device",
        offset=entry.offset,
    )
    for segment in header.segments:
        least = _CIPHERS.get(segment.encryption, 0)
        sizes = [slot.key_size for slot in header.keyslots if slot.number in header.bound]
        if segment.type != "crypt" or not least or any(size < least for size in sizes):
            yield finding(
                "disk.data-cipher",
                entry.name,
                f"encrypts with {segment.encryption or segment.type!r} and keys of"
                f" {', '.join(str(8 * size) for size in sizes) or 'no'} bits",
                offset=entry.offset,
            )
        if not segment.integrity:
            yield finding(
                "disk.data-integrity",
                entry.name,
                "has no integrity protection: anyone who can write to it may garble it unnoticed",
                offset=entry.offset,
            )
    yield from _slots(header, entry)
    tokens = [token for token in header.tokens if token.type == TPM2]
    for token in tokens:
        for problem in _policy_problems(token, policy_key):
            yield finding(
                "disk.data-token",
                entry.name,
                f"token {token.number} {problem}",
                offset=entry.offset,
            )


def _slots(header: Header, entry: Partition) -> Iterator[Finding]:
    """Yield what the key slots give away: each must be the TPM's or the recovery key's."""
    owners: dict[int, str] = {}
    for token in header.tokens:
        for number in token.keyslots:
            owners[number] = token.type
    for slot in header.keyslots:
        owner = owners.get(slot.number, "")
        if owner == RECOVERY:
            yield finding(
                "disk.data-recovery",
                entry.name,
                f"key slot {slot.number} opens with a recovery key: check who keeps it",
                offset=entry.offset,
            )
        elif owner != TPM2:
            yield finding(
                "disk.data-passphrase",
                entry.name,
                f"key slot {slot.number} opens with {owner or 'a passphrase'}, whatever booted",
                offset=entry.offset,
                remedy=f"cryptsetup luksKillSlot DEVICE {slot.number}",
            )
    if TPM2 not in owners.values():
        yield finding(
            "disk.data-no-tpm",
            entry.name,
            "has no key slot that the TPM opens",
            offset=entry.offset,
        )


def _policy_problems(token: Token, policy_key: PublicKey | None) -> Iterator[str]:
    """Yield what is wrong with the policy of a TPM2 token, as ends of a sentence."""
    fields = token.fields
    pcrs, signed = fields.get("tpm2-pcrs"), fields.get("tpm2_pubkey_pcrs")
    if pcrs:
        yield f"is bound to values of PCR {_short(pcrs)}, which an update changes"
    if signed != list(PCRS):
        yield f"wants a signed policy over PCR {_short(signed)}: expected {list(PCRS)}"
    try:
        encoded = base64.b64decode(str(fields.get("tpm2_pubkey", "")), validate=True)
        key = public.from_pem(encoded)
    except (binascii.Error, ValueError, FormatError):
        yield "names no public key whose policies open it"
        return
    if policy_key is not None and key.fingerprint() != policy_key.fingerprint():
        yield (f"trusts policies by {key.fingerprint()}: expected {policy_key.fingerprint()}")


def _short(value: object) -> str:
    return str(value)[:60]
