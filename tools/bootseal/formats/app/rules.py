# SPDX-License-Identifier: MIT
"""What a release says of an application that may run: `/usr/lib/bootseal/apps.d/NAME.conf`.

The device's `bootseal-app` reads the same form, and refuses any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError
from bootseal.formats.app.release import VERSION

LONGEST: Final = 4096
"""Bytes of the file, at most."""
_MINIMUM, _HEALTH = "MINIMUM", "HEALTH"
_FORMS: Final = {
    _MINIMUM: (VERSION, "a version"),
    _HEALTH: (re.compile("[1-9][0-9]?|[1-5][0-9][0-9]|600"), "1 to 600 seconds"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The lowest version that may run, and how many seconds a new one has to run to be good."""

    minimum: str
    health: int


def parse(text: bytes) -> Rules:
    """Read the rules of an application; empty lines and those that begin with `#` say nothing.

    Raises:
        FormatError: They are too long, or not each of the two values once, in its form.
    """
    if len(text) > LONGEST:
        raise FormatError(f"it has {len(text)} bytes: expected at most {LONGEST}")
    found: dict[str, str] = {}
    for line in text.decode(errors="replace").split("\n"):
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or key not in _FORMS:
            raise FormatError(f"{line[:60]!r} is not known: expected {' and '.join(_FORMS)}")
        form, what = _FORMS[key]
        if key in found:
            raise FormatError(f"{key} is given twice")
        if form.fullmatch(value) is None:
            raise FormatError(f"{line[:60]!r} does not give {what}")
        found[key] = value
    if missing := [key for key in _FORMS if key not in found]:
        raise FormatError(f"{missing[0]} is missing")
    return Rules(minimum=found[_MINIMUM], health=int(found[_HEALTH]))
