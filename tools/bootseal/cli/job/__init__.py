# SPDX-License-Identifier: MIT
"""`bootseal job`: the commands about updates and applications through AWS IoT Jobs."""

from __future__ import annotations

from bootseal.cli import lazy

app = lazy.noun(
    __name__,
    "Have devices install releases and applications through AWS IoT Jobs, and follow them.",
    ("make", "push", "status"),
)
