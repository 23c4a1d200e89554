# SPDX-License-Identifier: MIT
"""JSON read strictly: bounded, no key twice, no NaN, no text that readers could see differently.

Spec: RFC 8259; RFC 7493 (I-JSON).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, NoReturn

from bootseal_agent.errors import Refusal

_SHOWN: Final = 60
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


def shown(value: object) -> str:
    """Return a value for a message: short, and without characters that do something."""
    return _UNPRINTABLE.sub("?", f"{value!r}")[:_SHOWN]


def parse(data: bytes, what: str, *, limit: int) -> dict[str, object]:
    """Read one JSON object.

    Args:
        data: The text, UTF-8.
        what: What it is, for messages.
        limit: Bytes it may have.

    Raises:
        Refusal: It is too long, not strict JSON, or not an object.

    >>> parse(b'{"a": 1, "a": 2}', "it", limit=99)
    Traceback (most recent call last):
    bootseal_agent.errors.Refusal: it is not JSON: 'a' is twice in one object
    """
    if len(data) > limit:
        raise Refusal(f"{what} has {len(data)} bytes: expected at most {limit}")
    try:
        found = json.loads(
            str(data, "utf-8"),
            object_pairs_hook=_members,
            parse_constant=_not_a_number,
            parse_float=_not_whole,
        )
        for text in _texts(found):
            text.encode()  # Fails on half a surrogate pair.
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
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"{twice[:_SHOWN]!r} is twice in one object")
    return found


def _not_a_number(given: str) -> NoReturn:
    raise ValueError(f"{given} is not a number")


def _not_whole(given: str) -> NoReturn:
    raise ValueError(f"{given[:_SHOWN]} is not a whole number")


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            waiting += [*found, *found.values()]
        elif isinstance(found, list):
            waiting += found
