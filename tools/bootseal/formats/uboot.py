# SPDX-License-Identifier: MIT
"""What a U-Boot binary says about itself.

Spec: meta-secureboot, first patch to U-Boot, include/bootseal_gate.h.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bootseal.formats.fdt_scan import Buffer

_GATE: Final = re.compile(rb"bootseal gate ([1-9][0-9]*)\0")


def gate_version(binary: Buffer) -> int:
    """Return the version of the gate in front of the FIT code; 0 when this U-Boot has none.

    The marker is part of the line with which the gate refuses, so it is in the binary when the
    gate is. It says what a build is for; it proves nothing about a binary somebody else made.

    Args:
        binary: `u-boot.bin` or `u-boot-nodtb.bin`, not compressed.

    >>> gate_version(b"bootseal gate 1" + bytes(1))
    1
    >>> gate_version(b"U-Boot 2026.01")
    0
    """
    found = _GATE.search(binary)
    return int(found[1]) if found else 0
