# SPDX-License-Identifier: MIT
"""`bootseal measure`: the commands about measured boot."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Predict the measurements of a boot, and approve them.",
    ("predict", "sign", "log", "approve", "revoke", "export"),
)
