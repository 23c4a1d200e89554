# SPDX-License-Identifier: MIT
"""The digest of a policy that a key's signature extends, computed as systemd and the TPM do.

Spec: TCG, TPM 2.0 Library, version 1.83, parts 1 to 3.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

_ALG_RSA: Final = 0x0001
_ALG_SHA256: Final = 0x000B
_ALG_NULL: Final = 0x0010
_CC_POLICY_AUTHORIZE: Final = 0x0000016A
# userWithAuth, decrypt, sign: what tpm2_loadexternal and systemd give a public key they load.
_VERIFY_ATTRIBUTES: Final = 0x00060040


def policy_authorize(key_name: bytes, policy_ref: bytes = b"") -> bytes:
    """Return the digest after TPM2_PolicyAuthorize, which discards what was there before.

    H(H(zeros || TPM_CC_PolicyAuthorize || keySign name) || policyRef) (part 3, 23.16).

    Args:
        key_name: TPM name of the key that signs approved policies.
        policy_ref: Qualifier that is signed along; systemd uses none.
    """
    command = struct.pack(">I", _CC_POLICY_AUTHORIZE)
    inner = hashlib.sha256(bytes(32) + command + key_name).digest()
    return hashlib.sha256(inner + policy_ref).digest()


def key_name(modulus: int, exponent: int) -> bytes:
    """Return the name of an RSA key that is loaded to verify signatures (part 1, 16).

    It is nameAlg, then the digest of the key's TPMT_PUBLIC (part 2, 12.2.4). The exponent is
    written out even when it is 65537, as tpm2_loadexternal and systemd do; software that writes 0
    for it computes another name for the same key.
    """
    size = modulus.bit_length()
    unique = modulus.to_bytes(-(-size // 8), "big")
    head = struct.pack(">HHIH", _ALG_RSA, _ALG_SHA256, _VERIFY_ATTRIBUTES, 0)
    parameters = struct.pack(">HHHI", _ALG_NULL, _ALG_NULL, size, exponent)
    area = head + parameters + struct.pack(">H", len(unique)) + unique
    return struct.pack(">H", _ALG_SHA256) + hashlib.sha256(area).digest()
