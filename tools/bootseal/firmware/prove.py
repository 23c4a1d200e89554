# SPDX-License-Identifier: MIT
"""The negative control of a good FIP: change a bit of it, and see the change refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.firmware.verify import check
from bootseal.formats import fip
from bootseal.protection import State

if TYPE_CHECKING:
    from bootseal.firmware.coverage import Region

TRIES: Final = 200
"""Changes in each region, where nothing else is asked for."""


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
        """Whether a signature covers it, so that every change must be refused."""
        return self.state in {State.SIGNED, State.VERITY}


def prove_region(
    name: str,
    state: State,
    spans: Sequence[range],
    refuses: Callable[[int, int], bool],
    choice: random.Random,
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


class Changes:
    """Says for one inverted bit at a time whether a FIP is refused.

    Args:
        data: The FIP; a copy of it is changed.
        root_hash: SHA-256 of the master root key's SubjectPublicKeyInfo, lower-case hex.
    """

    def __init__(self, data: bytes, root_hash: str) -> None:
        self._data = bytearray(data)
        self._root_hash = root_hash
        self._known: dict[tuple[int, int], bool] = {}

    def refuses(self, offset: int, bit: int) -> bool:
        """Say whether the FIP is refused with one bit inverted."""
        key = (offset, bit)
        if key not in self._known:
            self._data[offset] ^= 1 << bit
            try:
                self._known[key] = bool(check(fip.parse(self._data), self._root_hash).findings)
            except FormatError:
                self._known[key] = True
            finally:
                self._data[offset] ^= 1 << bit
        return self._known[key]


def prove(
    data: bytes, root_hash: str, regions: tuple[Region, ...], *, seed: int = 0, tries: int = TRIES
) -> Iterator[RegionProof]:
    """Change every region of an accepted FIP and check each change.

    Args:
        data: The FIP.
        root_hash: SHA-256 of the master root key's SubjectPublicKeyInfo, lower-case hex.
        regions: Those of its verdict; those of one name and state are proved together.
        seed: Chooses positions and bits.
        tries: Changes in each region.
    """
    changes = Changes(data, root_hash)
    groups: dict[tuple[str, State], list[Region]] = {}
    for region in regions:
        groups.setdefault((region.name, region.state), []).append(region)
    for (name, state), parts in groups.items():
        spans = [range(part.start, part.end) for part in parts]
        choice = random.Random(f"{seed} {name}")  # noqa: S311 - repeatable on purpose
        yield prove_region(name, state, spans, changes.refuses, choice, tries)
