# SPDX-License-Identifier: MIT
"""`bootseal identity`: the commands about keys that identify devices."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Verify that a device's identity key is in its TPM, certify it, register and revoke it.",
    ("challenge", "verify", "issue", "list_", "revoke", "crl", "export", "register", "greengrass"),
)
