# SPDX-License-Identifier: MIT
"""`bootseal modules`: the commands about kernel modules."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Sign kernel modules, and check who signed them.",
    ("sign", "check"),
)
