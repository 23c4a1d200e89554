# SPDX-License-Identifier: MIT
"""`bootseal evidence`: the commands about the evidence that goes with a release."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Make and verify the evidence that goes with a release: signed statements about every file.",
    ("make", "verify", "show", "sbom"),
)
