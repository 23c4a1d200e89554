# SPDX-License-Identifier: MIT
"""`bootseal keys`: the commands about keys."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Generate, rotate, revoke and audit keys.",
    ("generate", "list_", "show", "rotate", "revoke", "impact", "export", "audit"),
)
