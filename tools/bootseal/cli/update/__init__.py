# SPDX-License-Identifier: MIT
"""`bootseal update`: the commands about update bundles."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Make, sign, encrypt and check the bundles with which RAUC updates devices.",
    ("bundle", "sign", "encrypt", "check"),
)
