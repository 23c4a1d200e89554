# SPDX-License-Identifier: MIT
"""TPM 2.0 structures and policy digests, computed without a TPM.

Everything is big-endian and uses the SHA-256 bank and SHA-256 as policy and name algorithm.

Spec: TCG TPM 2.0 Library, part 2 (structures) and part 3 (commands).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Mapping
from typing import Final

from bootseal.errors import UsageError

PCR_COUNT: Final = 24
DIGEST_SIZE: Final = 32
ZERO_DIGEST: Final = bytes(DIGEST_SIZE)

_ALG_RSA: Final = 0x0001
_ALG_SHA256: Final = 0x000B
_ALG_NULL: Final = 0x0010
_CC_POLICY_AUTHORIZE: Final = 0x0000016A
_CC_POLICY_PCR: Final = 0x0000017F
_SELECT_SIZE: Final = 3
# userWithAuth, decrypt, sign: what tpm2_loadexternal and systemd give a public key they load.
_VERIFY_ATTRIBUTES: Final = 0x00060040


def pcr_extend(old: bytes, digest: bytes) -> bytes:
    """Return the PCR value after TPM2_PCR_Extend with a digest (part 3, 22.2)."""
    return hashlib.sha256(old + digest).digest()


def pcr_selection(pcrs: Collection[int]) -> bytes:
    """Encode a TPML_PCR_SELECTION of the SHA-256 bank with a three-octet bitmap.

    Layout: u32 count, u16 hash algorithm, u8 size of the bitmap, bitmap (part 2, 10.6.2, 10.9.7).

    Raises:
        UsageError: The selection is empty or has an index beyond 23.

    >>> pcr_selection([0, 1, 8, 9]).hex()
    '00000001000b03030300'
    """
    if not pcrs or not all(0 <= pcr < PCR_COUNT for pcr in pcrs):
        raise UsageError(
            f"PCR selection {sorted(pcrs)}: expected indices between 0 and {PCR_COUNT - 1}"
        )
    bitmap = sum(1 << pcr for pcr in set(pcrs)).to_bytes(_SELECT_SIZE, "little")
    return struct.pack(">IHB", 1, _ALG_SHA256, _SELECT_SIZE) + bitmap


def policy_pcr(values: Mapping[int, bytes], after: bytes = ZERO_DIGEST) -> bytes:
    """Return the digest of a policy after one TPM2_PolicyPCR over these values.

    H(after || TPM_CC_PolicyPCR || TPML_PCR_SELECTION || H(values by ascending index))
    (part 3, 23.7).

    Args:
        values: PCR values by index.
        after: The digest before it; zeros where it is the first.

    Raises:
        UsageError: No value, an index beyond 23, or a value that is not 32 bytes long.
    """
    for pcr, value in values.items():
        if len(value) != DIGEST_SIZE:
            raise UsageError(f"PCR {pcr} has {len(value)} bytes: expected {DIGEST_SIZE}")
    joined = hashlib.sha256(b"".join(values[pcr] for pcr in sorted(values))).digest()
    command = struct.pack(">I", _CC_POLICY_PCR)
    return hashlib.sha256(after + command + pcr_selection(values) + joined).digest()


def policy_authorize(key_name: bytes) -> bytes:
    """Return the digest after TPM2_PolicyAuthorize, which discards what was there before.

    H(H(zeros || TPM_CC_PolicyAuthorize || keySign name) || policyRef) (part 3, 23.16); the
    qualifier policyRef is empty, as systemd has it.

    Args:
        key_name: TPM name of the key that signs approved policies.
    """
    command = struct.pack(">I", _CC_POLICY_AUTHORIZE)
    inner = hashlib.sha256(ZERO_DIGEST + command + key_name).digest()
    return hashlib.sha256(inner).digest()


def key_name(modulus: int, exponent: int) -> bytes:
    """Return the TPM name of an RSA key that is loaded to verify signatures (part 2, 12.2.4).

    nameAlg, then the digest of its TPMT_PUBLIC (part 1, 16). The exponent is written out even
    when it is 65537, as tpm2_loadexternal and systemd do; software that writes 0 for it computes
    another name for the same key.
    """
    size = modulus.bit_length()
    unique = modulus.to_bytes(-(-size // 8), "big")
    head = struct.pack(">HHIH", _ALG_RSA, _ALG_SHA256, _VERIFY_ATTRIBUTES, 0)
    parameters = struct.pack(">HHHI", _ALG_NULL, _ALG_NULL, size, exponent)
    area = head + parameters + struct.pack(">H", len(unique)) + unique
    return struct.pack(">H", _ALG_SHA256) + hashlib.sha256(area).digest()
