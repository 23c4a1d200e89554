# SPDX-License-Identifier: MIT
"""What protects some bytes, the words for it, and the proof: each change of them is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

TRIES: Final = 200
"""Changes in each region, where nothing else is asked for."""


class State(StrEnum):
    """What protects some bytes, the best first."""

    SIGNED = "signed"
    VERITY = "verity-covered"
    HASHED = "hashed only"
    UNSIGNED = "consumed but unsigned"
    UNUSED = "unused"


MEANINGS: Final = {
    State.SIGNED: "a signature leads to these bytes",
    State.VERITY: "checked by dm-verity against a signed root hash",
    State.HASHED: "a hash that nothing signs",
    State.UNSIGNED: "read by the device, and nothing signs it",
    State.UNUSED: "read by nothing",
}
"""What each state means, for the legend of a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionProof:
    """What became of the changes in one region.

    Attributes:
        name: The region.
        state: What protects it.
        size: Its size in bytes.
        tries: How many changes were tried.
        refused: How many of them were refused.
        accepted: Offset and bit of the first that was not.
    """

    name: str
    state: State
    size: int
    tries: int
    refused: int
    accepted: tuple[int, int] | None

    @property
    def covered(self) -> bool:
        """Whether a signature leads to it, so that every change must be refused."""
        return self.state in {State.SIGNED, State.VERITY}


def prove_region(
    name: str,
    state: State,
    spans: Sequence[range],
    refuses: Callable[[int, int], bool],
    choice: Random,
    tries: int,
) -> RegionProof:
    """Invert bits of a region, one at a time.

    Args:
        name: The region.
        state: What protects it.
        spans: The offsets that are in it.
        refuses: Says whether the input is refused with this bit at this offset inverted.
        choice: Chooses offsets and bits.
        tries: How many.
    """
    size = sum(map(len, spans))
    accepted = []
    for _ in range(tries):
        at, bit = choice.randrange(size), choice.randrange(8)
        for span in spans:
            if at < len(span):
                break
            at -= len(span)
        if not refuses(span[at], bit):
            accepted.append((span[at], bit))
    return RegionProof(
        name=name,
        state=state,
        size=size,
        tries=tries,
        refused=tries - len(accepted),
        accepted=accepted[0] if accepted else None,
    )
