# SPDX-License-Identifier: MIT
"""The negative control of a good FIP: change a bit of it, and see the change refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bootseal.errors import FormatError
from bootseal.firmware.verify import check
from bootseal.formats import fip
from bootseal.protection import TRIES, RegionProof, State, prove_region

if TYPE_CHECKING:
    from bootseal.firmware.coverage import Region


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
