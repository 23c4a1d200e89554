# SPDX-License-Identifier: MIT
"""`bootseal job`: the commands about updates through AWS IoT Jobs."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Have devices update themselves by jobs of AWS IoT, and follow how far they are.",
    ("make", "push", "status"),
)
