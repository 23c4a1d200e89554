# SPDX-License-Identifier: MIT
"""`bootseal boot`: the commands that boot a device in QEMU."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Boot a device in QEMU, and attack it there.",
    ("run", "matrix"),
)
