# SPDX-License-Identifier: MIT
"""`bootseal disk`: the commands about finished disk images."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Check, compare and sign finished disk images, without root and without booting them.",
    ("check", "show", "prove", "sign", "diff", "sign_requests"),
)
