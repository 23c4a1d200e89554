# SPDX-License-Identifier: MIT
"""`bootseal app`: the commands about applications."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Build, sign, check and show application images, which devices verify at each start.",
    ("build", "sign", "check", "show"),
)
