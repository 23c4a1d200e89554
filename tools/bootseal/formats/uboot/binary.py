# SPDX-License-Identifier: MIT
"""What a U-Boot binary says about itself.

Spec: meta-secureboot, first patch to U-Boot, include/bootseal_gate.h; U-Boot, cmd/version.c.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError

if TYPE_CHECKING:
    from bootseal.formats.fdt.scan import Buffer

_GATE: Final = re.compile(rb"bootseal gate ([1-9][0-9]{0,8})\0")
# `version_string` has the time of the build in parentheses; an SPL's own string is not measured.
_VERSION: Final = re.compile(
    rb"U-Boot (?!SPL |TPL |VPL )[0-9]{4}\.[0-9]{2}[\x20-\x7e]{0,200}?"
    rb" \([A-Z][a-z]{2} [0-9]{2} [0-9]{4} - [0-9:]{8} [+-][0-9]{4}\)[\x20-\x7e]{0,200}\0"
)


def version_string(binary: Buffer) -> bytes:
    """Return the version string, without its NUL, that U-Boot measures into PCR 0.

    Args:
        binary: `u-boot.bin` or `u-boot-nodtb.bin`, not compressed.

    Raises:
        FormatError: There is none, or more than one.

    >>> version_string(b"x" + b"U-Boot 2026.01 (Nov 22 2026 - 04:49:03 +0000)" + bytes(1))
    b'U-Boot 2026.01 (Nov 22 2026 - 04:49:03 +0000)'
    """
    found = {bytes(text) for text in _VERSION.findall(binary)}
    if len(found) != 1:
        listed = ", ".join(repr(text.rstrip(b"\0").decode()) for text in sorted(found))
        raise FormatError(
            f"U-Boot's binary holds {len(found)} version strings with the time of a build"
            f"{f' ({listed})' if found else ''}: expected one, such as "
            "'U-Boot 2026.01 (Nov 22 2026 - 04:49:03 +0000)'"
        )
    return found.pop().rstrip(b"\0")


def variable(binary: Buffer, name: str) -> str:
    """Return what U-Boot's built-in environment has for a variable, "" if it lacks it.

    Args:
        binary: `u-boot.bin` or `u-boot-nodtb.bin`, not compressed.
        name: The variable.

    >>> variable(b"code" + bytes(1) + b"fit_addr=0x50000000" + bytes(2), "fit_addr")
    '0x50000000'
    """
    found = re.search(rb"\0%s=([\x20-\x7e]{0,200})\0" % re.escape(name.encode()), binary)
    return bytes(found[1]).decode() if found else ""


def gate_version(binary: Buffer) -> int:
    """Return the version of the gate in front of the FIT code; 0 when this U-Boot has none.

    The marker is part of the line with which the gate refuses, so it is in the binary when the
    gate is. It says what a build is for; it proves nothing about a binary from elsewhere.

    Args:
        binary: `u-boot.bin` or `u-boot-nodtb.bin`, not compressed.

    >>> gate_version(b"bootseal gate 1" + bytes(1))
    1
    >>> gate_version(b"U-Boot 2026.01")
    0
    """
    found = _GATE.search(binary)
    return int(found[1]) if found else 0
