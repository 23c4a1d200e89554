# SPDX-License-Identifier: MIT
"""What the TPM requires before it releases the key of a `systemd-tpm2` token.

The token holds the sealed object. Its public area has the policy that the TPM enforces, and
that policy follows from the vendor's public key alone, so it can be checked without the TPM.

Spec: TCG TPM 2.0 Library, part 2, 12.2.4 (TPMT_PUBLIC of a KEYEDHASH object).
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from bootseal.check.data.header import Difference
from bootseal.errors import FormatError
from bootseal.formats.tpm import policy
from bootseal.keys import public
from bootseal.keys.public import PublicKey, RsaPublicKey

if TYPE_CHECKING:
    from bootseal.formats.luks2 import Token

_UNUSED_PCR: Final = 12
_KEYEDHASH: Final = b"\x00\x08\x00\x0b"
_ATTRIBUTES: Final = (0x012, 0x412)
"""fixedTPM and fixedParent, newer versions of systemd also noDA; above all not userWithAuth."""
_SCHEME: Final = b"\x00\x10\x00\x20"


def differences(
    token: Token, policy_key: PublicKey | None, pcrs: Collection[tuple[int, ...]]
) -> Iterator[Difference]:
    """Yield how a `systemd-tpm2` token binds its key to something else than approved boots.

    Args:
        token: The token.
        policy_key: The key whose PCR policies may open it; None accepts any.
        pcrs: What these policies are over.
    """
    place = f"tokens.{token.number}"
    over = token.fields.get("tpm2_pubkey_pcrs")
    if over not in [list(each) for each in pcrs]:
        expected = " or ".join(str(list(each)) for each in sorted(pcrs))
        yield Difference(f"{place}.tpm2_pubkey_pcrs", expected, str(over))
    try:
        key = public.from_pem(_decode(token, "tpm2_pubkey"))
    except FormatError as error:
        yield Difference(f"{place}.tpm2_pubkey", "a public key in PEM form", error.message)
        return
    if policy_key is not None and key.fingerprint() != policy_key.fingerprint():
        expected = f"the policy key, {policy_key.fingerprint()}"
        yield Difference(f"{place}.tpm2_pubkey", expected, key.fingerprint())
    if not isinstance(key, RsaPublicKey):
        yield Difference(f"{place}.tpm2_pubkey", "an RSA key", str(key.kind))
        return
    digest = policy.policy_authorize(policy.key_name(key.modulus, key.exponent))
    if token.fields.get("tpm2-pcrs"):
        digest = policy.policy_pcr({_UNUSED_PCR: policy.ZERO_DIGEST}, digest)
    stated = str(token.fields.get("tpm2-policy-hash"))
    if stated != digest.hex():
        yield Difference(f"{place}.tpm2-policy-hash", digest.hex(), stated)
    try:
        area = _public_area(_decode(token, "tpm2-blob"))
    except FormatError as error:
        yield Difference(f"{place}.tpm2-blob", "a sealed object", error.message)
        return
    if not _is_sealed_with(area, digest):
        expected = f"sealed with policy {digest.hex()} and no password"
        yield Difference(f"{place}.tpm2-blob", expected, area.hex())


def _is_sealed_with(area: bytes, digest: bytes) -> bool:
    """Tell whether a public area is that of an object which this policy alone opens."""
    size = struct.pack(">H", len(digest))
    heads = (_KEYEDHASH + struct.pack(">I", bits) + size + digest + _SCHEME for bits in _ATTRIBUTES)
    return any(area[: len(head)] == head and len(area) == len(head) + 32 for head in heads)


def _public_area(blob: bytes) -> bytes:
    """Return the TPMT_PUBLIC of a TPM2B_PRIVATE and a TPM2B_PUBLIC, each u16 size and content."""
    split = 2 + int.from_bytes(blob[:2])
    size, area = int.from_bytes(blob[split : split + 2]), blob[split + 2 :]
    if len(blob) < split + 2 or len(area) != size:
        raise FormatError(f"{len(blob)} bytes that are not two sized structures")
    return area


def _decode(token: Token, name: str) -> bytes:
    try:
        return base64.b64decode(str(token.fields.get(name, "")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"not base64: {error}") from error
