# SPDX-License-Identifier: MIT
"""`bootseal measure`: the commands about measured boot."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Predict what a boot measures, and approve it.",
    ("predict", "sign", "log", "approve", "revoke", "export"),
)
