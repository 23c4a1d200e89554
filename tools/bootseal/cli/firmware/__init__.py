# SPDX-License-Identifier: MIT
"""`bootseal firmware`: the commands about firmware image packages."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Assemble, sign, verify and show firmware image packages (FIPs) of Trusted Firmware-A, and "
    "predict their measurements.",
    ("build", "sign", "verify", "show", "predict"),
)
