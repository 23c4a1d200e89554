# SPDX-License-Identifier: MIT
"""Changes of a LUKS2 header that the device does not make, and what is said of each.

`luks2/changes.txt` is the one list that the device's own check and `disk check` are tested with.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.vectors import luks2_headers as headers
from tests.vectors.luks2_headers import Json, drop, put

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILE: Final = Path(__file__).parent / "luks2/changes.txt"


class Change(NamedTuple):
    """A change of the header of an escrowed volume.

    Attributes:
        steps: What is done, as in the file.
        device: Part of what `check-header` says.
        finding: Id of what `disk check` finds, without "disk.".
    """

    steps: str
    device: str
    finding: str

    def apply(self, document: Json) -> None:
        """Change metadata in place.

        Raises:
            LookupError: At this stage of a volume there is no such place.
        """
        for step in self.steps.split("; "):
            verb, place, *rest = step.split(" ", 2)
            if verb == "drop":
                drop(place)(document)
            elif verb == "put":
                put(place, json.loads(rest[0]))(document)
            elif verb == "copy":
                section, number = place.split("/")
                put(rest[0], copy.deepcopy(document[section][number]))(document)
            else:
                headers.add_slot(document, place, int(rest[0]))


def _read() -> Iterator[Change]:
    for line in _FILE.read_text().splitlines():
        if line and not line.startswith("#"):
            steps, device, finding = line.split(" | ")
            yield Change(steps.rstrip(), device.strip(), finding)


CHANGES: Final = tuple(_read())
