# SPDX-License-Identifier: MIT
"""JSON read strictly: bounded, and nothing is taken that readers could see differently.

A key given twice, NaN or a fraction spoils that value and not the whole text: a job whose document
has one can still be rejected, where a message that is dropped is asked for again and again.

Spec: RFC 8259; RFC 7493 (I-JSON).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bootseal_agent.errors import Refusal

_SHOWN: Final = 60
_DIGITS: Final = 19
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True, repr=False)
class Odd:
    """A value that readers could see differently; `text` and `number` refuse it.

    Attributes:
        seen: What it is, for messages.
    """

    seen: str

    def __repr__(self) -> str:
        """Return what it is."""
        return self.seen


def shown(value: object) -> str:
    """Return a value for a message: short, and without characters that do something."""
    return _UNPRINTABLE.sub("?", f"{value!r}")[:_SHOWN]


def parse(data: bytes, what: str, *, limit: int) -> dict[str, object]:
    """Read one JSON object; values that readers could see differently are `Odd`.

    Args:
        data: The text, UTF-8.
        what: What it is, for messages.
        limit: Bytes it may have.

    Raises:
        Refusal: It is too long, not JSON, or not an object.

    >>> parse(b'{"a": 1, "a": 2, "b": 1.5}', "it", limit=99)
    {'a': twice in one object, 'b': 1.5}
    """
    if len(data) > limit:
        raise Refusal(f"{what} has {len(data)} bytes: expected at most {limit}")
    try:
        found = json.loads(
            str(data, "utf-8"),
            object_pairs_hook=_members,
            parse_constant=Odd,
            parse_float=Odd,
            parse_int=_whole,
        )
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{what} is not JSON: {shown(str(error))[1:-1]}") from error
    if not isinstance(found, dict):
        raise Refusal(f"{what} is {shown(found)}: expected an object")
    return found


def text(members: Mapping[str, object], key: str, what: str, pattern: str) -> str:
    """Return a text of an object.

    Args:
        members: The object.
        key: Which of its members.
        what: What the object is, for messages.
        pattern: What the whole text has to match.

    Raises:
        Refusal: It is missing, is not text, or does not match.
    """
    found = members.get(key)
    if not isinstance(found, str) or re.fullmatch(pattern, found, re.ASCII) is None:
        raise Refusal(f"{what} has {key} {shown(found)}: expected {pattern}")
    return found


def number(members: Mapping[str, object], key: str, what: str, low: int, high: int) -> int:
    """Return a whole number of an object, within bounds.

    Raises:
        Refusal: It is missing, is not a whole number, or is out of bounds.
    """
    found = members.get(key)
    # Exactly the type: JSON's true must not pass for a number.
    if type(found) is not int or not low <= found <= high:
        raise Refusal(f"{what} has {key} {shown(found)}: expected {low} to {high}")
    return found


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        found[name] = Odd("twice in one object") if name in found else value
    return found


def _whole(given: str) -> int | Odd:
    """Return a number; a long one is odd: readers round it, and `int` refuses it."""
    return int(given) if len(given) <= _DIGITS else Odd(given)
