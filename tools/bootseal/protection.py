# SPDX-License-Identifier: MIT
"""What protects some bytes, and the words for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What protects some bytes, the best first."""

    SIGNED = "signed"
    VERITY = "verity-covered"
    HASHED = "hashed only"
    UNSIGNED = "consumed but unsigned"
    UNUSED = "unused"


MEANINGS: Final = {
    State.SIGNED: "a good signature covers these bytes",
    State.VERITY: "checked by dm-verity against a signed root hash",
    State.HASHED: "covered by a hash that no signature covers",
    State.UNSIGNED: "read by the device, and not signed",
    State.UNUSED: "not read",
}
"""What each state means, for the legend of a map."""
