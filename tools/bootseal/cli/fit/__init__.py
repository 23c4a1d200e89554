# SPDX-License-Identifier: MIT
"""`bootseal fit`: the commands about flattened image trees."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Assemble, sign, verify, show and compare FITs.",
    ("build", "sign", "verify", "show", "diff", "extract"),
)
