# SPDX-License-Identifier: MIT
"""Trusted Firmware-A as a boot ROM: what its recipe computes."""

from __future__ import annotations

import re
from typing import Final

from bootseal_layer import keys

# The releases of each long-term branch, and of the others, that check the bounds of a FIP.
_BOUNDS: Final = {(2, 8): 45, (2, 12): 13, (2, 14): 3}
_ALL_BOUNDS: Final = (2, 15)


def bounds_patch(version: str) -> str:
    """Return the patch against CVE-2026-34878 for SRC_URI; empty for a TF-A that has the fix."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found:
        branch, release = (int(found[1]), int(found[2])), int(found[3] or 0)
        if branch >= _ALL_BOUNDS or release >= _BOUNDS.get(branch, release + 1):
            return ""
    return "file://0001-io-check-bounds-of-memory-mapped-reads-CVE-2026-34878.patch"


def key_options(directory: str) -> str:
    """Return TF-A's options for the algorithm of the master root key.

    Raises:
        KeyDirectoryError: There is no such key, or TF-A does not take it.
    """
    given = keys.algorithm(directory, "mrk")
    found = re.fullmatch(r"sha256,(rsa|ecdsa)(\d+)", given)
    if not found:
        raise keys.KeyDirectoryError(
            f"the algorithm of the master root key is {given}: TF-A takes sha256, with RSA or ECDSA"
        )
    return f"KEY_ALG={found[1]} KEY_SIZE={found[2]}"
